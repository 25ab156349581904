package mv

import (
	"testing"

	"stretcher/internal/strategy"
	"stretcher/internal/strategy/strategytest"
)

func TestStrategy(t *testing.T) {
	strategytest.Run(t, strategytest.Case{Definition: Definition(), Keeps: strategy.Nothing, Once: true, All: true})
}
