package oci

import (
	"encoding/json"

	"github.com/opencontainers/runtime-spec/specs-go"

	"stretcher/internal/hooks"
)

// state is what a hook reads on stdin: the state of the runtime
// specification, with the deployment in the container's place.
func state(stage string, d Deployment) ([]byte, error) {
	s := specs.State{
		Version: specs.Version, ID: d.ID, Status: status(stage), Pid: d.Pid,
		Bundle: d.Bundle, Annotations: d.Annotations,
	}
	if s.Status == specs.StateStopped {
		s.Pid = 0 // a stopped container has none
	}
	return json.Marshal(s)
}

// status is where the deployment is in a container's life: the old tree is
// live while it is creating, the new one is in place when it is created and
// has been started when it is running.
func status(stage string) specs.ContainerState {
	p, _ := hooks.ByOCI(stage)
	switch p {
	case hooks.PostSync:
		return specs.StateCreated
	case hooks.PostLaunch, hooks.PrePrune, hooks.PostPrune:
		return specs.StateRunning
	case hooks.Finish:
		return specs.StateStopped
	default:
		return specs.StateCreating
	}
}
