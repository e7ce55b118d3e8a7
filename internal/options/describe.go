package options

import (
	"encoding/json"
	"slices"
	"strings"
)

// A Description is an option as "config help" prints it in JSON.
type Description struct {
	Name          string    `json:"name"`
	Type          string    `json:"type"`
	Level         string    `json:"level"`
	Desc          string    `json:"desc"`
	LongDesc      string    `json:"long_desc"`
	Default       any       `json:"default"`
	DaemonDefault any       `json:"daemon_default"`
	Tags          []string  `json:"tags"`
	Services      []string  `json:"services"`
	SeeAlso       []string  `json:"see_also"`
	Min           any       `json:"min"`
	Max           any       `json:"max"`
	Runtime       bool      `json:"can_update_at_runtime"`
	Flags         []string  `json:"flags"`
	Enum          *[]string `json:"enum_values,omitempty"` // only of text
}

// Describe is the option for "config help".
func (o *Option) Describe() Description {
	flags, services := []string{"runtime"}, strings.Fields(o.Services)
	switch {
	case o.Flags != "":
		flags = strings.Split(o.Flags, ",")
	case o.Help == knownHelp:
		flags = []string{}
	case o.Startup:
		flags = []string{"startup"}
	}
	var enum *[]string
	if o.Kind.String() == "str" {
		list := append([]string{}, o.Enum...)
		enum = &list
	}
	return Description{Name: o.Name, Type: o.Kind.String(), Level: o.Level, Desc: o.Text(),
		Default: o.JSON(o.Default), DaemonDefault: o.JSON(o.DaemonDefault), Tags: []string{},
		Services: services, SeeAlso: []string{}, Min: o.JSON(o.Min), Max: o.JSON(o.Max),
		Runtime: !o.Startup, Flags: flags, Enum: enum}
}

// Text is the help, with the truth about options that are without effect.
func (o *Option) Text() string {
	if o.Unused && o.Help != knownHelp {
		return o.Help + " (accepted and without effect in Glue)"
	}
	return o.Help
}

// JSON is a value as JSON has it: a number or a boolean where Ceph's option is one, else text.
func (o *Option) JSON(text string) any {
	kind := o.Kind
	if k, ok := known(o.Name); ok {
		kind = k.Kind
	}
	v, err := o.normal(text)
	if text == "" || err != nil || !slices.Contains([]Kind{Int, Uint, Float, Bool}, kind) {
		return text
	}
	if o.Kind == Float {
		v = strings.TrimSuffix(strings.TrimRight(v, "0"), ".")
	}
	return json.RawMessage(v)
}
