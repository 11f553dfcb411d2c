package coordinator

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weftmpc/weft/broker/identity"
)

func TestDifferences(t *testing.T) {
	name := func(fp identity.Fingerprint) string {
		return map[byte]string{'a': "alice", 'b': "bob", 'c': "carol", 'd': "dave"}[fp[0]]
	}
	mine := func() Common {
		return Common{Microprotocol: "SecureSum", Version: 1, Parameters: []byte(`{"columns":2}`), RoundMS: 20_000, LimitMS: 120_000,
			Parties: letters("abc"), Positions: []uint16{0, 1, 2}, Recipients: letters("abc"), Coordinator: letter('d')}
	}
	if ds := Differences(mine(), mine(), name); len(ds) != 0 {
		t.Fatal(ds)
	}
	for _, c := range []struct {
		bend func(*Common)
		want []string
	}{
		{func(c *Common) { c.UUID[0] = 1 }, []string{"uuid is 00000000-0000-0000-0000-000000000000 here, 01000000-0000-0000-0000-000000000000 there"}},
		{func(c *Common) { c.Microprotocol = "SecureMean" }, []string{"microprotocol is SecureSum here, SecureMean there"}},
		{func(c *Common) { c.Version = 2 }, []string{"version of the microprotocol is 1 here, 2 there"}},
		{func(c *Common) { c.Parameters = []byte(`{"columns":3}`) }, []string{"parameters: columns is 2 here, 3 there"}},
		{func(c *Common) { c.Parameters = []byte(`{"columns":2,"rank":"0.5"}`) }, []string{`parameters: rank is not set here, "0.5" there`}},
		{func(c *Common) { c.Parameters = []byte(`{"a":[1],"columns":{}}`) },
			[]string{"parameters: a is not set here, [1] there", "parameters: columns is 2 here, {} there"}},
		{func(c *Common) { c.Parameters = []byte(`[1]`) }, []string{`text of the parameters is {"columns":2} here, [1] there`}},
		{func(c *Common) { c.Parameters = []byte(`null`) }, []string{`text of the parameters is {"columns":2} here, null there`}},
		{func(c *Common) { c.Parameters = nil }, []string{`text of the parameters is {"columns":2} here, not set there`}},
		{func(c *Common) { c.Parameters = []byte(`{ "columns":2}`) }, []string{`text of the parameters is {"columns":2} here, { "columns":2} there`}},
		{func(c *Common) { c.Layout[31] = 1 }, []string{"layout of the data is " + strings.Repeat("0", 64) + " here, " + strings.Repeat("0", 63) + "1 there"}},
		{func(c *Common) { c.Parties, c.Positions, c.Recipients = letters("ab"), []uint16{0, 1}, letters("ab") },
			[]string{"list of parties is (alice, bob, carol) here, (alice, bob) there"}},
		{func(c *Common) { c.Positions = []uint16{1, 2, 0} }, []string{"order of the list of nodes is (alice, bob, carol) here, (carol, alice, bob) there"}},
		{func(c *Common) { c.RoundMS = 1500 }, []string{"round time-out is 20s here, 1.5s there"}},
		{func(c *Common) { c.LimitMS = 60_000 }, []string{"time limit is 2m0s here, 1m0s there"}},
		{func(c *Common) { c.Recipients = letters("b") }, []string{"list of recipients is (alice, bob, carol) here, (bob) there"}},
		{func(c *Common) { c.S0 = letter('a') }, []string{"first evaluator is nobody here, alice there"}},
		{func(c *Common) { c.S1 = letter('a') }, []string{"second evaluator is nobody here, alice there"}},
		{func(c *Common) { c.Dealer = letter('a') }, []string{"dealer is nobody here, alice there"}},
		{func(c *Common) { c.Opener = letter('a') }, []string{"opener is nobody here, alice there"}},
		{func(c *Common) { c.Aggregator = letter('a') }, []string{"aggregator is nobody here, alice there"}},
		{func(c *Common) { c.Coordinator = letter('b') }, []string{"coordinator is dave here, bob there"}},
	} {
		theirs := mine()
		c.bend(&theirs)
		var got []string
		for _, d := range Differences(mine(), theirs, name) {
			got = append(got, d.String())
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Error(diff)
		}
	}
}

// A field that is added to Common and forgotten in Differences shows here.
func TestDifferencesCoverCommon(t *testing.T) {
	covered := strings.Fields("UUID Microprotocol Version Parameters RoundMS LimitMS Layout Parties Positions S0 S1 Dealer Opener Aggregator Recipients Coordinator")
	var fields []string
	for i := range reflect.TypeFor[Common]().NumField() {
		fields = append(fields, reflect.TypeFor[Common]().Field(i).Name)
	}
	if diff := cmp.Diff(covered, fields); diff != "" {
		t.Error(diff)
	}
}

// What a stranger wrote is shown short and printable.
func TestDifferencesOfAStranger(t *testing.T) {
	mine := Common{Parties: letters("ab"), Positions: []uint16{0, 1}, Parameters: []byte(`{}`)}
	theirs := mine
	var b strings.Builder
	fmt.Fprintf(&b, `{"x\u001b[31m":"%s\u202e`, strings.Repeat("long ", 100))
	b.WriteString("\u202e\"")
	for i := range 1000 {
		fmt.Fprintf(&b, `,"k%03d":%d`, i, i)
	}
	theirs.Parameters = []byte(b.String() + "}")
	for _, other := range []Common{theirs, {Parameters: []byte(strings.Repeat("[", MaxParameters))}, {Parameters: []byte("\x1b[31m\xff")}} {
		other.Parties, other.Positions = mine.Parties, mine.Positions
		ds := Differences(mine, other, identity.Fingerprint.String)
		if len(ds) == 0 || len(ds) > maxParameterDifferences+1 {
			t.Errorf("%d differences", len(ds))
		}
		for _, d := range ds {
			if s := d.String(); len(s) > 400 || printable(s, 400) != s {
				t.Errorf("%q", s)
			}
		}
	}
	if ds := Differences(mine, theirs, identity.Fingerprint.String); ds[maxParameterDifferences].Theirs != "993 more keys" {
		t.Errorf("%v", ds[maxParameterDifferences])
	}
}
