package altsvc

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"
)

// Whatever arrives, what is made of it prints, and parses to the same.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"clear", `h3=":443"; ma=60; persist=1, h2="alt.example.com:8000"`, `w%3Dx%3Ay#z="[::1]:1"; x="a,\"b"`, `h3="\:4\43";;`, `%00=":1";ma=0`, `,"`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v := Parse(text)
		if len(v.Offers) > MaxOffers || len(v.Dropped) > MaxOffers || v.Clear && len(v.Offers) > 0 {
			t.Fatalf("%q: %+v", text, v)
		}
		printed := v.String()
		again := Parse(printed)
		if again.Clear != v.Clear || !reflect.DeepEqual(again.Offers, v.Offers) || len(again.Dropped) > 0 {
			t.Fatalf("%q printed as %q parses as %+v, was %+v", text, printed, again, v)
		}
		for _, o := range v.Offers {
			if o.MaxAge < 0 || o.MaxAge%time.Second != 0 || o.Port == 0 || o.ALPN == "" {
				t.Fatalf("%q: %+v", text, o)
			}
		}
		if origin, ok := CanonicalOrigin(text); ok {
			if again, ok := CanonicalOrigin(origin); again != origin || !ok {
				t.Fatalf("origin %q is %q and then %q", text, origin, again)
			}
		}
	})
}

// Whatever JSON is taken is bounded, and comes out and in again the same.
func FuzzCacheJSON(f *testing.F) {
	f.Add([]byte(`{"version":1,"entries":[{"origin":"https://b","service":"h3=\":443\"","since":"2026-01-02T03:04:05Z","expires":"2026-01-02T03:05:05Z","persist":true}]}`))
	f.Add([]byte(`{"version":1,"entries":[{"origin":"wss://b:443","service":"a%2F=\"[::1]:1\"; ma=1","since":"9999-12-31T12:59:59Z","expires":"9999-12-31T23:59:59-10:00"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := Cache{MaxOrigins: 3}
		if err := json.Unmarshal(b, &c); err != nil {
			return
		}
		if len(c.origins) > 3 {
			t.Fatalf("%d origins", len(c.origins))
		}
		once, err := json.Marshal(&c)
		if err != nil {
			t.Fatal(err)
		}
		again := Cache{MaxOrigins: 3}
		if err := json.Unmarshal(once, &again); err != nil {
			t.Fatalf("%s: %v", once, err)
		}
		if twice, _ := json.Marshal(&again); string(twice) != string(once) {
			t.Fatalf("%s\n%s", once, twice)
		}
	})
}
