package broker_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"

	"github.com/weftmpc/weft/broker"
	"github.com/weftmpc/weft/broker/brokertest"
	"github.com/weftmpc/weft/broker/identity"
)

// house is a private broker with a gateway and two services.
type house struct {
	*brokertest.PrivateBroker
	gateway, service, other broker.Key
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{gateway: brokertest.Key(t), service: brokertest.Key(t), other: brokertest.Key(t)}
	h.PrivateBroker = brokertest.Private(t, broker.Guests{
		Listen: "127.0.0.1:-1", Gateways: []string{h.gateway.Public()},
		Services: []broker.Member{{Name: "mean", NKey: h.service.Public()}, {Name: "other", NKey: h.other.Public()}},
	})
	return h
}

// dial connects through the socket; what is refused comes over the channel.
func (h *house) dial(t *testing.T, key broker.Key) (*nats.Conn, chan error) {
	t.Helper()
	refused := make(chan error, 100)
	nc, err := broker.Dial(broker.Remote{URL: "nats://" + h.Server.Addr(), User: key}, brokertest.Logger(t), key.Inbox(),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	flush(t, nc)
	return nc, refused
}

// refuses wants the server to refuse each subject, and answers which it did not.
func refuses(t *testing.T, refused chan error, what string, subjects []string, try func(subject string)) {
	t.Helper()
	for _, s := range subjects {
		try(s)
		select {
		case err := <-refused:
			if !errors.Is(err, nats.ErrPermissionViolation) || !strings.Contains(err.Error(), `"`+s+`"`) {
				t.Errorf("%s %s: %v", what, s, err)
			}
		case <-time.After(patience):
			t.Fatalf("%s %s is possible", what, s)
		}
	}
}

func TestGatewayUser(t *testing.T) {
	h := newHouse(t)
	nc, refused := h.dial(t, h.gateway)
	ctx := t.Context()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{broker.BucketJobs, broker.BucketObjects} {
		kv, err := js.KeyValue(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		w, err := kv.WatchAll(ctx)
		if err != nil {
			t.Fatal(err)
		}
		revision, err := kv.Create(ctx, "a", []byte("1"))
		if err == nil {
			_, err = kv.Update(ctx, "a", []byte("2"), revision)
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, err := kv.Get(ctx, "a"); err != nil || string(e.Value()) != "2" {
			t.Error(e, err)
		}
		if err := kv.Delete(ctx, "a"); err != nil {
			t.Error(err)
		}
		if e := <-w.Updates(); e != nil { // the end of what was there
			t.Error(e)
		}
		if e := <-w.Updates(); e == nil || e.Key() != "a" {
			t.Error(e)
		}
		if err := w.Stop(); err != nil {
			t.Error(err)
		}
	}
	bodies, err := js.ObjectStore(ctx, broker.StoreBodies)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bodies.PutBytes(ctx, "body", make([]byte, 1<<20)); err != nil {
		t.Error(err)
	}
	if b, err := bodies.GetBytes(ctx, "body"); err != nil || len(b) != 1<<20 {
		t.Error(len(b), err)
	}
	select {
	case err := <-refused:
		t.Fatal(err)
	default:
	}

	publish := []string{"$KV.weft_sids.a", "_INBOX.x", "anything", broker.SubjectStatus}
	for _, verb := range []string{"STREAM.INFO.KV_weft_sids", "STREAM.MSG.GET.KV_weft_sids", "DIRECT.GET.KV_weft_sids",
		"DIRECT.GET.KV_weft_sids.$KV.weft_sids.a", "CONSUMER.CREATE.KV_weft_sids.c.$KV.weft_sids.>", "CONSUMER.DURABLE.CREATE.KV_weft_sids.c",
		"STREAM.LIST", "STREAM.NAMES", "STREAM.CREATE.x", "INFO"} {
		publish = append(publish, "$JS.API."+verb)
	}
	for _, stream := range []string{"KV_weft_jobs", "KV_weft_objects", "OBJ_weft_bodies", "KV_weft_sids"} {
		for _, verb := range []string{"DELETE", "PURGE", "UPDATE", "MSG.DELETE", "SNAPSHOT", "RESTORE", "CREATE"} {
			publish = append(publish, "$JS.API.STREAM."+verb+"."+stream)
		}
	}
	refuses(t, refused, "publishing to", publish, func(s string) { _ = nc.Publish(s, nil) })
	refuses(t, refused, "subscribing to", []string{"_INBOX.>", "_INBOX." + h.Key.Public() + ".>", "$KV.>", "$KV.weft_jobs.a", "$O.>", "weft.node.>",
		broker.SubjectNode, broker.ServiceSubject("mean", ">"), "$SRV.PING", "$JS.>", ">"}, func(s string) { _, _ = nc.SubscribeSync(s) })
}

func TestServiceUser(t *testing.T) {
	h := newHouse(t)
	service, refused := h.dial(t, h.service)
	gateway, _ := h.dial(t, h.gateway)
	s, err := micro.AddService(service, micro.Config{Name: "mean", Version: "1.0.0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop() })
	if err := s.AddEndpoint("call", micro.HandlerFunc(func(r micro.Request) { _ = r.Respond(append([]byte("to "), r.Data()...)) }),
		micro.WithEndpointSubject(broker.ServiceSubject("mean", "call"))); err != nil {
		t.Fatal(err)
	}
	flush(t, service)
	for subject, want := range map[string]string{
		broker.ServiceSubject("mean", "call"): "to x", "$SRV.PING": `"mean"`, "$SRV.INFO.mean": "weft.service.mean.call", "$SRV.STATS.mean." + s.Info().ID: "num_requests",
	} {
		m, err := gateway.Request(subject, []byte("x"), patience)
		if err != nil || !strings.Contains(string(m.Data), want) {
			t.Errorf("%s: %v, want %s", subject, err, want)
		}
	}
	select {
	case err := <-refused:
		t.Fatal(err)
	default:
	}
	refuses(t, refused, "publishing to", []string{"$KV.weft_jobs.a", "$JS.API.INFO", "$JS.API.STREAM.INFO.KV_weft_jobs", broker.SubjectNode,
		broker.ServiceSubject("mean", "call"), broker.ServiceSubject("other", "call"), "$SRV.PING", "_INBOX." + h.gateway.Public() + ".x"},
		func(s string) { _ = service.Publish(s, nil) })
	refuses(t, refused, "subscribing to", []string{"_INBOX.>", "_INBOX." + h.gateway.Public() + ".>", "$KV.>", "$O.>", broker.SubjectNode, "$SRV.>", "$SRV.INFO.other",
		broker.ServiceSubject("other", ">"), broker.ServiceSubject("*", "call"), "weft.>", "$JS.>", ">"}, func(s string) { _, _ = service.SubscribeSync(s) })
}

// A gateway chooses where its answers and its consumers' messages go, and the server publishes them there in its own name.
// None of this reaches the ledger.
func TestGatewayCannotReachTheLedger(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	if _, err := h.Sids.Create(ctx, "line", []byte("truth")); err != nil {
		t.Fatal(err)
	}
	nc, _ := h.dial(t, h.gateway)
	const line, purge = "$KV.weft_sids.line", "$JS.API.STREAM.PURGE.KV_weft_sids"
	lie := nats.NewMsg("$KV.weft_jobs.a")
	lie.Data = []byte("{}")
	seen := listen(t, h.Conn, ">")
	for _, reply := range []string{line, purge} {
		lie.Reply = reply
		for _, err := range []error{
			nc.PublishMsg(lie),
			nc.PublishRequest("$JS.API.STREAM.INFO.KV_weft_jobs", reply, nil),
			nc.PublishRequest("$JS.API.STREAM.MSG.GET.KV_weft_jobs", reply, []byte(`{"seq":1}`)),
			nc.PublishRequest("$JS.API.DIRECT.GET.KV_weft_jobs.$KV.weft_jobs.a", reply, nil),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	for i, deliver := range []string{line, purge} {
		name := fmt.Sprint("c", i)
		config := fmt.Sprintf(`{"stream_name":"KV_weft_jobs","config":{"name":%q,"deliver_subject":%q,"deliver_policy":"all","ack_policy":"none","filter_subject":"$KV.weft_jobs.>"}}`, name, deliver)
		if _, err := nc.Request("$JS.API.CONSUMER.CREATE.KV_weft_jobs."+name+".$KV.weft_jobs.>", []byte(config), patience); err != nil {
			t.Fatal(err)
		}
	}
	// Nor does it reach the jobs' account: the server has rewritten where the answers go.
	flush(t, nc)
	for {
		m := next(t, seen)
		if m.Subject == line || m.Subject == purge {
			t.Errorf("an answer came to %s", m.Subject)
		}
		if strings.HasPrefix(m.Subject, "$JS.EVENT.ADVISORY.CONSUMER.CREATED.KV_weft_jobs.c1") { // the last
			break
		}
	}
	if e, err := h.Sids.Get(ctx, "line"); err != nil || string(e.Value()) != "truth" || e.Revision() != 1 {
		t.Errorf("the ledger says %v, %v", e, err)
	}
}

// A private broker that listens wants what other brokers want, and guests want one that listens.
func TestAdmit(t *testing.T) {
	key := brokertest.Key(t).Public()
	for name, c := range map[string]struct {
		guests broker.Guests
		want   string
	}{
		"no socket":       {broker.Guests{Gateways: []string{key}}, "does not"},
		"no TLS":          {broker.Guests{Listen: "192.0.2.1:4333", Gateways: []string{key}}, "without TLS only a loopback address"},
		"no key":          {broker.Guests{Listen: "127.0.0.1:4333", Gateways: []string{"x"}}, "is not the public key of a user"},
		"a key twice":     {broker.Guests{Listen: "127.0.0.1:4333", Gateways: []string{key}, Services: []broker.Member{{Name: "a", NKey: key}}}, "stands twice"},
		"no name":         {broker.Guests{Listen: "127.0.0.1:4333", Services: []broker.Member{{Name: "a.b", NKey: key}}}, "a service"},
		"a name of all":   {broker.Guests{Listen: "127.0.0.1:4333", Services: []broker.Member{{Name: "*", NKey: key}}}, "a service"},
		"two of one name": {broker.Guests{Listen: "127.0.0.1:4333", Services: []broker.Member{{Name: "a", NKey: key}, {Name: "a", NKey: brokertest.Key(t).Public()}}}, "two services"},
	} {
		_, err := broker.Private("p", t.TempDir(), make(identity.Secret, 32), brokertest.Key(t).Public(), brokertest.Key(t).Public(), false).Admit(c.guests).Render()
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if _, err := broker.Private("p", "dir", make(identity.Secret, 32), brokertest.Key(t).Public(), brokertest.Key(t).Public(), false).
		Admit(broker.Guests{Listen: "127.0.0.1:4333", Services: []broker.Member{{Name: "a", NKey: key}}}).Render(); err != nil {
		t.Error("services without gateways:", err)
	}
	plain := broker.Private("p", "dir", make(identity.Secret, 32), key, brokertest.Key(t).Public(), false)
	a, _ := plain.Render()
	if b, err := plain.Admit(broker.Guests{}).Render(); err != nil || a != b {
		t.Errorf("without guests the broker differs: %v", err)
	}
}

func TestRenderHouse(t *testing.T) {
	c := broker.Private("alice-private", "/var/lib/weft", identity.Secret("never in the text, never!"), fixed[0], fixed[3], true).Admit(broker.Guests{
		Listen: "192.0.2.7:4333", TLS: &broker.TLS{Cert: "tls.crt", Key: "tls.key", CA: "ca.crt"},
		Gateways: []string{fixed[1]}, Services: []broker.Member{{Name: "mean", NKey: fixed[2]}},
	})
	text, err := c.Render()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", "house.conf")
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
	gateways := c.Accounts[len(c.Accounts)-1]
	if i := slices.IndexFunc(gateways.Users, func(u broker.User) bool { return u.NKey == fixed[1] }); i < 0 || gateways.Name != broker.AccountGateways {
		t.Fatal("no gateway")
	} else if strings.Contains(strings.Join(append(gateways.Users[i].Publish, gateways.Users[i].Subscribe...), " "), broker.BucketSids) {
		t.Error("a gateway has a subject of the ledger")
	}
}
