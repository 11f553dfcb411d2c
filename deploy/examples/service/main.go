// Command service is a micro service of a hospital's own. It tells which of a list of ICD-10 codes lie in a range of
// categories, as 1 and 0, so that what a computation adds up are the cases of a disease and not codes.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os/signal"
	"regexp"
	"strings"
	"syscall"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
)

// representation is what gateways show of the service: whose it is, and its functions.
const representation = `{"description": {"namespace": "hospital.example", "plugin": "Codes", "microservice": "ICD10"},
  "members": [{"name": "within", "returns": {"type": "array", "items": {"enum": [0, 1]}}, "parameters": [
    {"name": "codes", "schema": {"type": "array", "items": {"type": "string"}}},
    {"name": "first", "schema": {"type": "string"}}, {"name": "last", "optional": true, "schema": {"type": "string"}}]}]}`

func main() {
	url := flag.String("url", "nats://127.0.0.1:4333", "the node's private broker: private.listen of node.yaml")
	seed := flag.String("nkey", "icd10.nk", "the key that weft service init icd10 has made")
	flag.Parse()
	key, err := nats.NkeyOptionFromSeed(*seed)
	check(err)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	nc, err := nats.Connect(*url, key, nats.MaxReconnects(-1), nats.ClosedHandler(func(*nats.Conn) { stop() }))
	check(err)
	s, err := micro.AddService(nc, micro.Config{Name: "icd10", Version: "1.0.0", Metadata: map[string]string{"weft.representation": representation}})
	check(err)
	check(s.AddGroup("weft.service.icd10").AddEndpoint("within", micro.HandlerFunc(within)))
	<-ctx.Done()
	check(s.Stop()) // what has come is answered still
	check(nc.Flush())
}

var code = regexp.MustCompile(`^([A-Z][0-9][0-9A-Z])\.?[0-9A-Z]{0,4}$`) // as E11, E11.9 and E119

// within answers {"caller":…,"kwargs":{"codes":["E11.9","I10"],"first":"E10","last":"E14"}} with [1,0].
func within(r micro.Request) {
	var call struct {
		Kwargs struct {
			Codes       []string
			First, Last string
		}
	}
	if json.Unmarshal(r.Data(), &call) != nil {
		_ = r.Error("400", "codes must be a list of texts, first and last must be texts", nil)
		return
	}
	k := call.Kwargs
	cases := make([]int, len(k.Codes))
	for i, text := range k.Codes {
		m := code.FindStringSubmatch(strings.ToUpper(strings.TrimSpace(text)))
		if m == nil { // a patient's code stays out of the message
			_ = r.Error("400", fmt.Sprintf("codes[%d] is no code of ICD-10 like E11.9", i), nil)
			return
		}
		if m[1] >= k.First && m[1] <= max(k.First, k.Last) {
			cases[i] = 1
		}
	}
	_ = r.RespondJSON(cases)
}

func check(err error) {
	if err != nil {
		log.Fatal("icd10: ", err)
	}
}
