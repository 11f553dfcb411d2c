package broker_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/nats-io/nats-server/v2/server"

	"github.com/weftmpc/weft/broker"
	"github.com/weftmpc/weft/broker/brokertest"
	"github.com/weftmpc/weft/broker/identity"
)

var update = flag.Bool("update", false, "rewrite golden files")

// Public keys made once for these tests; their seeds are lost.
var fixed = [...]string{
	"UCZB2DGDV5KR7B425COU7Z2G5Y66T4RAT46W3YRMRJWBFQN5Q3A3MG2O",
	"UAZCQ6UGXSPGIVLPEESVQTTS7ITKDFBLUFAFZHCZW5MI4J5NJBEQ5P6Y",
	"UB77LNH2BZPZCDWFGMXZVXXELVTR4AYQUGEVPY2FCO2DPJUMBNLO4XNF",
	"UD7ZK57SYS5UBEN2ECCI4FOGNH4AAWI6JR6SDNBNM6RGBSVG3Q445WJT",
}

func TestRenderGolden(t *testing.T) {
	hub := broker.Hub("hub", "127.0.0.1:4222", []broker.Member{{"alice", fixed[0]}, {"bob", fixed[1]}}, broker.Member{Name: "coordinator", NKey: fixed[2]}, fixed[3])
	private := broker.Private("alice-private", `C:\weft\store "1"`, identity.Secret("never in the text, never!"), fixed[0], fixed[3], true)
	for name, c := range map[string]broker.Config{"hub": hub, "private": private} {
		t.Run(name, func(t *testing.T) {
			text, err := c.Render()
			if err != nil {
				t.Fatal(err)
			}
			if again, _ := c.Render(); again != text {
				t.Error("two renderings differ")
			}
			if strings.Contains(text, "never") {
				t.Error("the text has the key")
			}
			path := filepath.Join("testdata", name+".conf")
			if *update {
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), text); d != "" {
				t.Errorf("run with -update if this is meant:\n%s", d)
			}
			var o server.Options
			if err := o.ProcessConfigString(text); err != nil {
				t.Fatal(err)
			}
			if c.StoreDir != o.StoreDir {
				t.Errorf("the server reads folder %q, want %q", o.StoreDir, c.StoreDir)
			}
		})
	}
}

func TestRenderRefuses(t *testing.T) {
	user := broker.User{NKey: fixed[0], Publish: []string{"a.>"}}
	good := func() broker.Config {
		return broker.Config{Name: "b", Accounts: []broker.Account{{Name: "A", Users: []broker.User{user}}, {Name: "B"}}}
	}
	if _, err := good().Render(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*broker.Config){
		"no name":           func(c *broker.Config) { c.Name = "" },
		"name of two words": func(c *broker.Config) { c.Name = "a b" },
		"no users":          func(c *broker.Config) { c.Accounts[0].Users = nil },
		"account twice":     func(c *broker.Config) { c.Accounts[1].Name = "A" },
		"account name":      func(c *broker.Config) { c.Accounts[1].Name = `A" {}` },
		"not a user's key":  func(c *broker.Config) { c.Accounts[0].Users[0].NKey = "UAU23" },
		"injection":         func(c *broker.Config) { c.Accounts[0].Users[0].NKey = fixed[0] + " }" },
		"user twice":        func(c *broker.Config) { c.Accounts[1].Users = []broker.User{user} },
		"subject":           func(c *broker.Config) { c.Accounts[0].Users[0].Publish = []string{"a..b"} },
		"subject wildcard":  func(c *broker.Config) { c.Accounts[0].Users[0].Subscribe = []string{"a.>.b"} },
		"subject line feed": func(c *broker.Config) { c.Accounts[0].Users[0].Subscribe = []string{"a\nb"} },
		"subject empty":     func(c *broker.Config) { c.Accounts[0].Users[0].Subscribe = []string{""} },
		"export to all":     func(c *broker.Config) { c.Accounts[0].Exports = []broker.Export{{Subject: "a"}} },
		"export to nobody": func(c *broker.Config) {
			c.Accounts[0].Exports = []broker.Export{{Subject: "a", Accounts: []string{"C"}}}
		},
		"import from nobody":    func(c *broker.Config) { c.Accounts[0].Imports = []broker.Import{{Subject: "a", Account: "C"}} },
		"system account":        func(c *broker.Config) { c.SystemAccount = "SYS" },
		"JetStream without dir": func(c *broker.Config) { c.Accounts[0].JetStream = true },
		"JetStream of system":   func(c *broker.Config) { c.SystemAccount, c.StoreDir, c.Accounts[1].JetStream = "B", "x", true },
		"short store key": func(c *broker.Config) {
			c.StoreDir, c.StoreKey, c.Accounts[0].JetStream = "x", identity.Secret("short"), true
		},
		"listen without host": func(c *broker.Config) { c.Listen = ":4222" },
		"listen without port": func(c *broker.Config) { c.Listen = "127.0.0.1" },
		"listen on port 0":    func(c *broker.Config) { c.Listen = "127.0.0.1:0" },
		"listen on port 1e6":  func(c *broker.Config) { c.Listen = "127.0.0.1:1000000" },
		"negative payload":    func(c *broker.Config) { c.MaxPayload = -1 },
	} {
		c := good()
		change(&c)
		if text, err := c.Render(); err == nil {
			t.Errorf("%s: rendered\n%s", name, text)
		}
	}
}

func TestHubRefuses(t *testing.T) {
	coordinator := broker.Member{Name: "coordinator", NKey: fixed[2]}
	for name, parties := range map[string][]broker.Member{
		"two tokens":                 {{"a.b", fixed[0]}},
		"wildcard":                   {{"*", fixed[0]}},
		"upper case":                 {{"Alice", fixed[0]}},
		"twice":                      {{"alice", fixed[0]}, {"alice", fixed[1]}},
		"the coordinator's account":  {{"coordinator", fixed[0]}},
		"the operators' account":     {{"ops", fixed[0]}},
		"the system's account":       {{"sys", fixed[0]}},
		"the coordinator's own key":  {{"alice", fixed[2]}},
		"two parties with one key":   {{"alice", fixed[0]}, {"bob", fixed[0]}},
		"an account's key, not user": {{"alice", "A" + fixed[0][1:]}},
	} {
		if _, err := broker.Hub("hub", "", parties, coordinator).Render(); err == nil {
			t.Errorf("%s: rendered", name)
		}
	}
}

func TestPrivateNeedsKey(t *testing.T) {
	if _, err := broker.Start(broker.Private("p", t.TempDir(), nil, brokertest.Key(t).Public(), brokertest.Key(t).Public(), false)); err == nil {
		t.Error("started a private broker without encryption")
	}
}

func TestUserWithoutPermissionsMayNothing(t *testing.T) {
	text, err := broker.Config{Name: "b", Accounts: []broker.Account{{Name: "A", Users: []broker.User{{NKey: fixed[0]}}}}}.Render()
	if err != nil {
		t.Fatal(err)
	}
	var o server.Options
	if err := o.ProcessConfigString(text); err != nil {
		t.Fatal(err)
	}
	p := o.Nkeys[0].Permissions
	if d := cmp.Diff([]string{">"}, p.Publish.Deny) + cmp.Diff([]string{">"}, p.Subscribe.Deny); d != "" {
		t.Error(d)
	}
}

func TestParseShare(t *testing.T) {
	id := uuid.NewString()
	c, to, from, ok := broker.ParseShare(broker.Share(id, "bob", "alice"))
	if !ok || c != id || to != "bob" || from != "alice" {
		t.Error(c, to, from, ok)
	}
	for _, bad := range []string{
		"", "weft.c.", "weft.c." + id, "weft.c." + id + ".bob", "weft.c." + id + ".bob.alice.x", "weft.c.*.bob.alice", "weft.c.x.bob.alice",
		"weft.c." + strings.ToUpper(id) + ".bob.alice", "weft.c.{" + id + "}.bob.alice", "weft.c." + strings.ReplaceAll(id, "-", "") + ".bob.alice",
		"weft.c.urn:uuid:" + id + ".bob.alice", "weft.c." + id + ".Bob.alice", "weft.c." + id + "..alice", "weft.d." + id + ".bob.alice",
	} {
		if _, _, _, ok := broker.ParseShare(bad); ok {
			t.Errorf("%q is taken for a share's subject", bad)
		}
	}
}

func FuzzParseShare(f *testing.F) {
	id := uuid.NewString()
	f.Add(broker.Share(id, "bob", "alice"))
	f.Add("weft.c.*.bob.*")
	f.Fuzz(func(t *testing.T, s string) {
		if c, to, from, ok := broker.ParseShare(s); ok && broker.Share(c, to, from) != s {
			t.Errorf("%q comes back as %q", s, broker.Share(c, to, from))
		}
	})
}
