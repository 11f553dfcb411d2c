package simon_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/weftmpc/weft/simon"
	"github.com/weftmpc/weft/simon/simontest"
)

// play computes m with one JSON text per party and returns the result, which all parties must agree on byte for byte.
func play(t testing.TB, m simon.Microprotocol, o simontest.Options, g simon.Guard, data []string, parameters string) (string, *simontest.Record, error) {
	t.Helper()
	prepared := make([]simon.Prepared, len(data))
	var err error
	for i, d := range data {
		if prepared[i], err = m.Prepare(strings.NewReader(d), json.RawMessage(parameters), g); err != nil {
			return "", nil, err
		}
		if !bytes.Equal(prepared[i].Parameters, prepared[0].Parameters) || prepared[i].Layout != prepared[0].Layout {
			return "", nil, fmt.Errorf("parties disagree: %s and %s", prepared[0].Parameters, prepared[i].Parameters)
		}
	}
	inputs := make([][]byte, len(data))
	for i := range prepared {
		inputs[i] = prepared[i].Input
	}
	c := simon.Common{Parties: len(data), Parameters: prepared[0].Parameters}
	if c.Parameters, err = completed(m, c.Parameters, inputs, o.Positions); err != nil {
		return "", nil, err
	}
	r := simontest.Run(t, len(data), withHelpers(m, c, o), func(ctx context.Context, s simon.Session) ([]byte, error) {
		if s.Self() >= s.N() {
			return nil, help(ctx, s, m, c)
		}
		return m.Run(ctx, s, c, prepared[s.Self()].Input)
	})
	if err := r.Err(); err != nil {
		return "", r, err
	}
	var result json.RawMessage
	for seat, opened := range r.Results[:len(data)] {
		// Special functions take most of the time of the tests, so what was opened alike is finished by the first and the
		// last alone.
		if seat > 0 && seat < len(data)-1 && bytes.Equal(opened, r.Results[0]) {
			continue
		}
		got, err := m.Finish(simon.Common{Parties: len(data), Parameters: prepared[seat].Parameters}, prepared[seat].Input, opened)
		if err != nil {
			return "", r, err
		}
		if !json.Valid(got) {
			t.Fatalf("no JSON: %s", got)
		}
		if seat > 0 && !bytes.Equal(got, result) {
			t.Fatalf("seat %d has %s, seat 0 %s", seat, got, result)
		}
		result = got
	}
	conforms(t, m, data, parameters, string(result))
	return string(result), r, nil
}

// help is the part of a helper that is no party.
func help(ctx context.Context, s simon.Session, m simon.Microprotocol, c simon.Common) error {
	if seat, ok := s.Seat(simon.Aggregator); ok && seat == s.Self() {
		return simon.Aggregate(ctx, s)
	}
	if seat, ok := s.Seat(simon.Opener); ok && seat == s.Self() {
		return m.OpenTo(ctx, s, c)
	}
	return m.Deal(ctx, s, c)
}

// completed are the parameters on which the parties agree when each has said what it knows, as nodes do it: first each for
// itself, then knowing another one's. inputs are by seat; positions nil: as seats.
func completed(m simon.Microprotocol, parameters []byte, inputs [][]byte, positions []int) ([]byte, error) {
	if m.Complete == nil {
		return parameters, nil
	}
	at := func(seat int) int {
		if positions == nil {
			return seat
		}
		return positions[seat]
	}
	own := make([][]byte, len(inputs))
	var err error
	for i := range inputs {
		if own[i], err = m.Complete(simon.Placed{Position: at(i), Parties: len(inputs), Parameters: parameters, Input: inputs[i]}); err != nil {
			return nil, err
		}
	}
	full := slices.Clone(own)
	for i := range inputs {
		for j := range inputs {
			if i != j && !bytes.Equal(full[i], own[j]) {
				p := simon.Placed{Position: at(i), Parties: len(inputs), Parameters: parameters, Input: inputs[i], Other: own[j], OtherPosition: at(j)}
				if full[i], err = m.Complete(p); err != nil {
					return nil, err
				}
			}
		}
		if !bytes.Equal(full[i], full[0]) {
			return nil, fmt.Errorf("parties disagree: %s and %s", full[0], full[i])
		}
	}
	return full[0], nil
}

// checkSome is rapid.Check with a part of the checks, in percent, for properties of which each check costs much.
func checkSome(t *testing.T, percent int, property func(*rapid.T)) {
	t.Helper()
	checks := flag.Lookup("rapid.checks")
	before := checks.Value.String()
	all, err := strconv.Atoi(before)
	if err != nil {
		t.Fatal(err)
	}
	set := func(text string) {
		if err := checks.Value.Set(text); err != nil {
			t.Fatal(err)
		}
	}
	set(strconv.Itoa(max(1, all*percent/100)))
	defer set(before)
	rapid.Check(t, property)
}

// withHelpers gives the first two parties the evaluators' seats and adds a dealer, where m needs them and o has none.
func withHelpers(m simon.Microprotocol, c simon.Common, o simontest.Options) simontest.Options {
	roles := m.Needs(c.Parameters, c.Parties)
	_, aggregated := o.Roles[simon.Aggregator]
	switch {
	case len(roles) == 0 && aggregated:
	case len(roles) == 0:
		o.Roles = nil
	case slices.Contains(roles, simon.Opener):
		o.Roles = map[simon.Role]int{simon.Opener: c.Parties}
	case o.Roles == nil && !slices.Contains(roles, simon.S0):
		o.Roles = map[simon.Role]int{simon.Dealer: c.Parties}
	case o.Roles == nil:
		o.Roles = map[simon.Role]int{simon.S0: 0, simon.S1: 1, simon.Dealer: c.Parties}
	}
	return o
}

// mustPlay is play where a result is wanted.
func mustPlay(t testing.TB, m simon.Microprotocol, parameters string, data ...string) string {
	t.Helper()
	got, _, err := play(t, m, simontest.Options{Seed: 5}, simon.Guard{}, data, parameters)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// decoded is a result with its numbers as text.
func decoded(t interface{ Fatal(...any) }, result string) map[string]any {
	d := json.NewDecoder(strings.NewReader(result))
	d.UseNumber()
	var v map[string]any
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

// split deals rows, JSON texts, to n parties at random; some may get none. The first argument is a *rapid.T or stands for
// one seed.
func split(t *rapid.T, n int, rows []string) []string {
	parts := make([][]string, n)
	for _, row := range rapid.Permutation(rows).Draw(t, "order") {
		i := rapid.IntRange(0, n-1).Draw(t, "party")
		parts[i] = append(parts[i], row)
	}
	data := make([]string, n)
	for i, p := range parts {
		data[i] = "[" + strings.Join(p, ", ") + "]"
	}
	return data
}

// refusal is the path that Prepare objects to, or fails the test.
func refusal(t testing.TB, m simon.Microprotocol, data, parameters string) (path, reason string) {
	t.Helper()
	_, err := m.Prepare(strings.NewReader(data), json.RawMessage(parameters), simon.Guard{})
	input, ok := errors.AsType[*simon.InputError](err)
	if !ok {
		t.Fatalf("%s with %s: %v, want an InputError", data, parameters, err)
	}
	return input.Path, input.Reason
}
