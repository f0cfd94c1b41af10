package negotiate

import (
	"fmt"
	"testing"
)

func TestParse(t *testing.T) {
	for _, r := range Rungs() {
		if got, err := ParseRung(r.String()); got != r || err != nil {
			t.Errorf("ParseRung(%q): %q, %v", r, got, err)
		}
		if !r.Available() {
			t.Errorf("%s is not available", r)
		}
	}
	if got, err := ParseRungs("settings, h2.1,alt-svc"); fmt.Sprint(got) != "[settings h2.1 alt-svc]" || err != nil {
		t.Errorf("ParseRungs: %v, %v", got, err)
	}
	const want = `no rung is called "h2"; there are upgrade, settings, assume, token, h2.1, frame, alt-svc, h3`
	if _, err := ParseRungs("upgrade,h2"); err == nil || err.Error() != want {
		t.Errorf("ParseRungs: %v, want %s", err, want)
	}
	for _, s := range []SpareMode{Staggered, Eager, Never} {
		if got, err := ParseSpareMode(s.String()); got != s || err != nil {
			t.Errorf("ParseSpareMode(%q): %v, %v", s, got, err)
		}
	}
	if _, err := ParseSpareMode("sometimes"); err == nil {
		t.Error("ParseSpareMode takes anything")
	}
	if err := (Policy{Spare: 7}).Validate(); err == nil {
		t.Error("Validate takes any spare mode")
	}
}
