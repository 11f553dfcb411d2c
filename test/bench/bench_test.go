package main

import (
	"io"
	"strings"
	"testing"
)

// One contest from end to end: both programs are built and run, and the table has a judgement.
func TestBriefContest(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), []string{"-brief", "-rounds", "2", "-only", "a"}, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 5 || !strings.HasPrefix(lines[4], "| (a)  | sum of 3, one process") || !strings.Contains(lines[4], "| at most 1.6 |") {
		t.Errorf("the table is\n%s", out.String())
	}
}

func TestGoalsAreJudgedByMedians(t *testing.T) {
	f := figures{"slow": {9, 2, 3}, "floor": {2, 1, 40}, "rate": {50, 70, 60}, "whole": {100, 100, 100}}
	for _, c := range []struct {
		g     goal
		value float64
		met   bool
	}{
		{goal{weft: "slow", floor: "floor", wanted: 1.5}, 1.5, true},
		{goal{weft: "slow", floor: "floor", wanted: 1.4}, 1.5, false},
		{goal{weft: "slow", wanted: 3}, 3, true},
		{goal{weft: "slow", wanted: 2.9}, 3, false},
		{goal{weft: "slow", against: 2, wanted: 1}, 1.5, false},
		{goal{weft: "rate", floor: "whole", wanted: 0.6, least: true}, 0.6, true},
		{goal{weft: "rate", floor: "whole", wanted: 0.61, least: true}, 0.6, false},
		{goal{weft: "slow", floor: "floor"}, 1.5, true},
	} {
		if value, met := c.g.judge(f); value != c.value || met != c.met {
			t.Errorf("%+v: %g, %t, want %g, %t", c.g, value, met, c.value, c.met)
		}
	}
}

// Every goal's figures come from a contest of the same letter, so that -only measures all that a goal needs.
func TestChoosing(t *testing.T) {
	for _, g := range goals {
		letter := strings.TrimRight(strings.SplitN(g.weft, ".", 2)[0], "0123456789")
		if g.letter != "" && g.letter != letter || g.floor != "" && !strings.HasPrefix(g.floor, letter) {
			t.Errorf("goal (%s) is about %s and %s", g.letter, g.weft, g.floor)
		}
		if c, err := choose(letter); err != nil || len(c) == 0 {
			t.Errorf("%s: no contest, %v", letter, err)
		}
	}
	if _, err := choose("a,x"); err == nil || !strings.Contains(err.Error(), `"x"`) {
		t.Errorf("a goal that is not there: %v", err)
	}
}
