package releases

import (
	"testing"

	"stretcher/internal/strategy"
	"stretcher/internal/strategy/strategytest"
)

func TestStrategy(t *testing.T) {
	strategytest.Run(t, strategytest.Case{Definition: Definition(), Keeps: strategy.Itself, Beside: true})
}
