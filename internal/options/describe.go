package options

import (
	"encoding/json"
	"strings"
)

// A Description is an option as "config help" prints it in JSON.
type Description struct {
	Name          string   `json:"name"`
	Type          string   `json:"type"`
	Level         string   `json:"level"`
	Desc          string   `json:"desc"`
	LongDesc      string   `json:"long_desc"`
	Default       any      `json:"default"`
	DaemonDefault any      `json:"daemon_default"`
	Tags          []string `json:"tags"`
	Services      []string `json:"services"`
	SeeAlso       []string `json:"see_also"`
	Min           any      `json:"min"`
	Max           any      `json:"max"`
	Runtime       bool     `json:"can_update_at_runtime"`
	Flags         []string `json:"flags"`
	Enum          []string `json:"enum_values,omitempty"`
}

// Describe is the option for "config help".
func (o *Option) Describe() Description {
	flags, services := []string{"runtime"}, strings.Fields(o.Services)
	if o.Startup {
		flags = []string{"startup"}
	}
	return Description{Name: o.Name, Type: o.Kind.String(), Level: o.Level, Desc: o.Text(),
		Default: o.JSON(o.Default), DaemonDefault: "", Tags: []string{}, Services: services,
		SeeAlso: []string{}, Min: o.JSON(o.Min), Max: o.JSON(o.Max), Runtime: !o.Startup,
		Flags: flags, Enum: o.Enum}
}

// Text is the help, with the truth about options that are without effect.
func (o *Option) Text() string {
	if o.Unused {
		return o.Help + " (accepted and without effect in Glue)"
	}
	return o.Help
}

// JSON is a value as JSON has it: a number where the kind is numeric, else text.
func (o *Option) JSON(text string) any {
	if text == "" || o.Kind == Str {
		return text
	}
	v, err := o.normal(text)
	if err != nil {
		return text
	}
	if o.Kind == Float {
		v = strings.TrimSuffix(strings.TrimRight(v, "0"), ".")
	}
	return json.RawMessage(v)
}
