package simon

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"
)

// The description says < where the encoder is told to leave it, and escapes it where it is not.
func TestMicroprotocolAsJSON(t *testing.T) {
	m := Microprotocol{Name: "Less", Version: 3, Summary: "a < b", Hops: 2, Round: 1500 * time.Millisecond, Limit: time.Minute, Input: json.RawMessage(`{"description": "<"}`)}
	for escape, want := range map[bool]string{
		false: `{"name":"Less","version":3,"summary":"a < b","min_parties":0,"max_parties":0,"hops":2,"bytes":"","leakage":"",` +
			`"round_ms":1500,"limit_ms":60000,"input":{"description":"<"},"parameters":true,"result":true}` + "\n",
		true: `{"name":"Less","version":3,"summary":"a \u003c b","min_parties":0,"max_parties":0,"hops":2,"bytes":"","leakage":"",` +
			`"round_ms":1500,"limit_ms":60000,"input":{"description":"\u003c"},"parameters":true,"result":true}` + "\n",
	} {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(escape)
		if err := e.Encode(m); err != nil || b.String() != want {
			t.Errorf("%v\n%s\nwant\n%s", err, b.String(), want)
		}
	}
}
