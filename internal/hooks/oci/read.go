package oci

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"stretcher/internal/hooks"
)

// reader reads a definition of one version and names the key of what is
// wrong.
type reader func(data []byte) (*Definition, error)

// readers is the table of versions.
func readers() map[string]reader {
	return map[string]reader{
		"1.0.0": read100,
		"0.1.0": read010,
		"":      read010, // it had no version at first
	}
}

// Read reads a definition of any version, without its name. Keys nobody knows
// are ignored, as in the reference implementation. Regular expressions are
// Go's, unanchored. The error names the key.
func Read(data []byte) (*Definition, error) {
	var v struct {
		Version string `json:"version"`
	}
	if err := decode(data, &v); err != nil {
		return nil, err
	}
	read, ok := readers()[v.Version]
	if !ok {
		return nil, fmt.Errorf("version: %q is not one of 1.0.0, 0.1.0", v.Version)
	}
	d, err := read(data)
	if err == nil {
		err = d.check()
	}
	if err != nil {
		return nil, err
	}
	return d, nil
}

// schema100 is the file of version 1.0.0.
type schema100 struct {
	Hook specs.Hook `json:"hook"`
	When struct {
		Always        *bool             `json:"always"`
		Annotations   map[string]string `json:"annotations"`
		Commands      []string          `json:"commands"`
		HasBindMounts *bool             `json:"hasBindMounts"`
	} `json:"when"`
	Stages []string `json:"stages"`
}

func read100(data []byte) (*Definition, error) {
	var s schema100
	if err := decode(data, &s); err != nil {
		return nil, err
	}
	if s.Hook.Path == "" {
		return nil, errors.New("hook.path: is missing")
	}
	when := When{Always: s.When.Always, HasBindMounts: s.When.HasBindMounts}
	for _, key := range sortedKeys(s.When.Annotations) {
		pair, err := newPair(key, s.When.Annotations[key])
		if err != nil {
			return nil, fmt.Errorf("when.annotations: %w", err)
		}
		when.Annotations = append(when.Annotations, pair)
	}
	var err error
	if when.Commands, err = compile(s.When.Commands); err != nil {
		return nil, fmt.Errorf("when.commands: %w", err)
	}
	return &Definition{Hook: s.Hook, When: when, Stages: s.Stages}, nil
}

// schema010 is the file of version 0.1.0, with both spellings of its keys.
type schema010 struct {
	Hook          string   `json:"hook"`
	Arguments     []string `json:"arguments"`
	Stages        []string `json:"stages"`
	Stage         []string `json:"stage"`
	Cmds          []string `json:"cmds"`
	Cmd           []string `json:"cmd"`
	Annotations   []string `json:"annotations"`
	Annotation    []string `json:"annotation"`
	HasBindMounts *bool    `json:"hasbindmounts"`
}

func read010(data []byte) (*Definition, error) {
	var s schema010
	if err := decode(data, &s); err != nil {
		return nil, err
	}
	if s.Hook == "" {
		return nil, errors.New("hook: is missing")
	}
	d := &Definition{Hook: specs.Hook{Path: s.Hook}, When: When{Any: true, HasBindMounts: s.HasBindMounts}}
	if s.Arguments != nil {
		d.Hook.Args = append([]string{s.Hook}, s.Arguments...)
	}
	cmds, err1 := either("cmd", s.Cmd, s.Cmds)
	annotations, err2 := either("annotation", s.Annotation, s.Annotations)
	stages, err3 := either("stage", s.Stage, s.Stages)
	if err := cmp.Or(err1, err2, err3); err != nil {
		return nil, err
	}
	d.Stages = stages
	var err error
	if d.When.Commands, err = compile(cmds); err != nil {
		return nil, fmt.Errorf("cmds: %w", err)
	}
	if annotations != nil {
		// One expression for values of any key; an empty list matches every
		// value, as in the reference implementation.
		pair, err := newPair("", strings.Join(annotations, "|"))
		if err != nil {
			return nil, fmt.Errorf("annotations: %w", err)
		}
		d.When.Annotations = []Pair{pair}
	}
	return d, nil
}

// either returns the list that is given as key or as key+"s", but not both.
func either(key string, one, many []string) ([]string, error) {
	if one != nil && many != nil {
		return nil, fmt.Errorf("%s: is the same as %ss: set one of them", key, key)
	}
	if one != nil {
		return one, nil
	}
	return many, nil
}

// check tests what both versions have in common.
func (d *Definition) check() error {
	if !filepath.IsAbs(d.Hook.Path) {
		return fmt.Errorf("hook.path: %q is not absolute", d.Hook.Path)
	}
	for _, kv := range d.Hook.Env {
		if strings.ContainsRune(kv, 0) {
			return errors.New("hook.env: has a NUL in it")
		}
	}
	if d.Hook.Timeout != nil && *d.Hook.Timeout <= 0 {
		return fmt.Errorf("hook.timeout: %d is not a number of seconds above 0", *d.Hook.Timeout)
	}
	if d.Stages == nil {
		return errors.New("stages: is missing")
	}
	for _, stage := range d.Stages {
		if _, ok := hooks.ByOCI(stage); !ok {
			return fmt.Errorf("stages: %q%s is not one of %s", stage, foreign(stage), strings.Join(allStages(), ", "))
		}
	}
	return nil
}

// foreign says of a stage that others have why it is none here.
func foreign(stage string) string {
	if stage == "precreate" {
		return ", which changes a container's configuration,"
	}
	return ""
}

func allStages() (all []string) {
	var own []string
	for _, n := range hooks.Points() {
		all, own = append(all, n.OCI...), append(own, string(n.Point))
	}
	return slices.Concat(all, own)
}

// decode unmarshals exactly one JSON object and names the key or the line of
// what is wrong.
func decode(data []byte, into any) error {
	if b := bytes.TrimSpace(data); len(b) == 0 || b[0] != '{' {
		return errors.New("is not a JSON object")
	}
	err := json.Unmarshal(data, into)
	var (
		wrong  *json.UnmarshalTypeError
		syntax *json.SyntaxError
	)
	switch {
	case errors.As(err, &wrong):
		return fmt.Errorf("%s: is a JSON %s where %s is wanted", printable(cmp.Or(wrong.Field, "the definition")),
			wrong.Value, wanted(wrong.Type))
	case errors.As(err, &syntax):
		line := 1 + bytes.Count(data[:min(int(syntax.Offset), len(data))], []byte("\n"))
		return fmt.Errorf("line %d: %w", line, err)
	}
	return err
}

// wanted is what JSON calls a value of the type.
func wanted(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return wanted(t.Elem())
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Slice:
		return "a list"
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "a whole number"
	default:
		return "a text"
	}
}

// compileOne compiles one expression. The error quotes it.
func compileOne(pattern string) (*regexp.Regexp, error) {
	re, err := regexp.Compile(pattern)
	var wrong *syntax.Error
	if errors.As(err, &wrong) {
		return nil, fmt.Errorf("%q is not a regular expression: %s", pattern, wrong.Code)
	}
	return re, err
}

func compile(patterns []string) (res []*regexp.Regexp, err error) {
	for _, p := range patterns {
		re, err := compileOne(p)
		if err != nil {
			return nil, err
		}
		res = append(res, re)
	}
	return res, nil
}
