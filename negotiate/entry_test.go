package negotiate

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/weftws/weft/internal/simnet"
)

var epoch = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

func settingsNo(ttl, limit time.Duration) Remember {
	return Remember{Rung: Settings, Verdict: No, Cause: CauseSettings, TTL: ttl, Limit: limit}
}

// A No that is found whenever it has expired is asked for less and less often, up to the limit; a Yes begins anew.
func TestBackoff(t *testing.T) {
	no := settingsNo(time.Hour, 24*time.Hour)
	var e Entry
	now := epoch
	for i, want := range []time.Duration{1, 2, 4, 8, 16, 24, 24, 24} {
		e = e.Remember(no, now)
		f := e.Findings[Settings]
		if got := f.Until.Sub(now); got != want*time.Hour {
			t.Errorf("time %d: holds for %v, want %v", i, got, want*time.Hour)
		}
		if e.Verdict(Settings, f.Until.Add(-1)) != No || e.Verdict(Settings, f.Until) != Forgotten {
			t.Error("does not hold until it expires")
		}
		now = f.Until
	}
	e = e.Remember(Remember{Rung: Settings, Verdict: Yes, Cause: CauseOpened, TTL: time.Hour}, now)
	e = e.Remember(no, now)
	if f := e.Findings[Settings]; f.Strikes != 0 || f.Until.Sub(now) != time.Hour {
		t.Errorf("after a yes: %+v", f)
	}

	// So does one that was not asked for a long time.
	now = now.Add(time.Hour + kept)
	e = e.Remember(settingsNo(time.Hour, day), now).Remember(Remember{Rung: Frame, Verdict: No, TTL: 1}, now.Add(kept+2*time.Hour))
	if _, ok := e.Findings[Settings]; ok {
		t.Error("what expired long ago is kept")
	}
}

// Without a limit nothing grows: what an outsider can forge.
func TestNoBackoff(t *testing.T) {
	var e Entry
	for now := epoch; now.Before(epoch.Add(time.Hour)); now = now.Add(10 * time.Minute) {
		e = e.Remember(Remember{Rung: Assume, Verdict: No, Cause: CauseLost, TTL: 10 * time.Minute}, now)
		if got := e.Findings[Assume].Until.Sub(now); got != 10*time.Minute {
			t.Errorf("holds for %v", got)
		}
	}
}

// Many dials that find the same at once are one strike; and of two reasons the one that holds longer stays.
func TestAgain(t *testing.T) {
	killed := Remember{Rung: Assume, Verdict: No, Cause: CauseKilled, TTL: 7 * day}
	lost := Remember{Rung: Assume, Verdict: No, Cause: CauseLost, TTL: 10 * time.Minute}
	e := Entry{}.Remember(killed, epoch).Remember(lost, epoch.Add(time.Minute)).Remember(lost, epoch.Add(2*time.Minute))
	if f := e.Findings[Assume]; f.Cause != CauseKilled || !f.Until.Equal(epoch.Add(7*day)) || f.Strikes != 0 {
		t.Errorf("a shorter no shortens a longer one: %+v", f)
	}
	e = Entry{}.Remember(lost, epoch).Remember(killed, epoch.Add(time.Minute))
	if f := e.Findings[Assume]; f.Cause != CauseKilled || f.Until.Sub(epoch) <= 7*day {
		t.Errorf("a longer no does not replace a shorter one: %+v", f)
	}
}

func TestEntryIsAValue(t *testing.T) {
	a := Entry{}.Remember(settingsNo(time.Hour, 0), epoch)
	before := fmt.Sprint(a)
	a.Remember(settingsNo(2*time.Hour, 0), epoch)
	a.Forget(Settings, epoch)
	Merge(a, Entry{}.Forget(Settings, epoch.Add(time.Hour)))
	if fmt.Sprint(a) != before {
		t.Error("it has changed")
	}
}

func TestRoundTripTime(t *testing.T) {
	var e Entry
	for _, rtt := range []time.Duration{0, 80 * time.Millisecond, 0, 160 * time.Millisecond} {
		e = e.Remember(Remember{Rung: Assume, Verdict: Yes, TTL: day, RTT: rtt}, epoch)
	}
	if e.RTT != 90*time.Millisecond {
		t.Errorf("smoothed round-trip time is %v, want 90ms", e.RTT)
	}
}

// What is known of a network is an entry like others: a No holds longer each time, and a Yes ends that.
func TestNetwork(t *testing.T) {
	blocked := RememberNetwork{QUIC: QUICBlocked, TTL: 10 * time.Minute, Limit: day}.Remember()
	e, now := Entry{}, epoch
	if s := QUICStateOf(e, now); s != QUICUnknown {
		t.Errorf("nothing is known, and it is %v", s)
	}
	for _, want := range []time.Duration{10 * time.Minute, 20 * time.Minute, 40 * time.Minute} {
		e = e.Remember(blocked, now)
		if s := QUICStateOf(e, now.Add(want-1)); s != QUICBlocked {
			t.Errorf("just before %v it is %v", want, s)
		}
		if s := QUICStateOf(e, now.Add(want)); s != QUICUnknown {
			t.Errorf("after %v it is %v", want, s)
		}
		now = now.Add(want)
	}
	e = e.Remember(RememberNetwork{QUIC: QUICWorks, TTL: day}.Remember(), now)
	if s := QUICStateOf(e, now.Add(day-1)); s != QUICWorks {
		t.Errorf("it works, and is %v", s)
	}
	e = e.Remember(blocked, now)
	if got := e.Findings[H3].Until.Sub(now); got != 10*time.Minute {
		t.Errorf("after it has worked it is blocked for %v", got)
	}
	for s, want := range map[QUICState]string{QUICUnknown: "unknown", QUICWorks: "works", QUICBlocked: "blocked", 7: "QUICState(7)"} {
		if s.String() != want {
			t.Errorf("%d is called %s", int(s), s)
		}
	}
}

// Merging is the same in any order and however often, so that it does not matter who writes a shared memory when.
func TestMerge(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	random := func() (e Entry) {
		for range r.IntN(4) {
			now := epoch.Add(time.Duration(r.IntN(3)) * time.Minute)
			rung := []Rung{Settings, Assume}[r.IntN(2)]
			if r.IntN(4) == 0 {
				e = e.Forget(rung, now)
				continue
			}
			e = e.Remember(Remember{
				Rung: rung, Verdict: []Verdict{Yes, No}[r.IntN(2)], Cause: []Cause{CauseOpened, CauseReset}[r.IntN(2)],
				TTL: time.Duration(1 + r.IntN(3)), RTT: time.Duration(r.IntN(3)),
			}, now)
		}
		return e
	}
	for range 5000 {
		a, b, c := random(), random(), random()
		for _, m := range [][2]Entry{
			{Merge(a, b), Merge(b, a)}, {Merge(Merge(a, b), c), Merge(a, Merge(b, c))}, {Merge(Merge(a, b), b), Merge(a, b)}, {Merge(a, Entry{}), Merge(a, a)},
		} {
			if !reflect.DeepEqual(m[0].Findings, m[1].Findings) || !m[0].Used.Equal(m[1].Used) || m[0].RTT != m[1].RTT {
				t.Fatalf("%+v\n%+v\n%+v\ngive %+v\nand %+v", a, b, c, m[0], m[1])
			}
		}
	}
	forgotten := Merge(Entry{}.Remember(settingsNo(time.Hour, 0), epoch), Entry{}.Forget(Settings, epoch.Add(1)))
	if forgotten.Verdict(Settings, epoch.Add(2)) != Forgotten {
		t.Error("what was forgotten comes back")
	}
}

func TestBound(t *testing.T) {
	var items []Item
	for _, minute := range []int{3, 1, 4, 2} {
		at := epoch.Add(time.Duration(minute) * time.Minute)
		items = append(items, Item{Key: Key{Port: fmt.Sprint(minute)}, Entry: Entry{Used: at}})
	}
	got := ""
	for _, i := range Bound(items, 3) {
		got += i.Key.Port
	}
	if got != "234" {
		t.Errorf("kept %s, want the three that were written last, 234", got)
	}
	if len(Bound(nil, 3)) != 0 {
		t.Error("nothing is not nothing")
	}
}

func TestKey(t *testing.T) {
	for _, k := range []Key{
		{Scheme: "wss", Host: "example.com", Port: "443", ALPNSet: Policy{}.ALPNSet()},
		{Scheme: "ws", Host: "::1", Port: "80"},
		NetworkKey(""), NetworkKey("home & garden?"),
		{
			Scheme: "wss", Host: "fe80::1", Port: "8443", Proxy: "http://proxy:3128", Network: "home & garden?", TLSIdentity: "ab/cd+=",
			ALPNSet: "wsoverh2,h2.1,h2,http/1.1", Partition: "user=%41&x\n",
		},
	} {
		got, err := ParseKey(k.String())
		if err != nil || got != k {
			t.Errorf("%q: %+v, %v", k, got, err)
		}
	}
	if got := (Key{Scheme: "wss", Host: "example.com", Port: "443", ALPNSet: "h2,http/1.1"}).String(); got != "wss://example.com:443?alpn=h2,http/1.1" {
		t.Errorf("form is %s", got)
	}
	for _, s := range []string{"", "example.com", "wss://example.com", "wss://example.com:443?", "wss://example.com:443/x", "wss://e.com:443?x=1", "wss://[::1", "://"} {
		if k, err := ParseKey(s); err == nil {
			t.Errorf("%q is a key: %+v", s, k)
		}
	}
}

func TestJSON(t *testing.T) {
	e := Entry{}.Remember(settingsNo(time.Hour, 0), epoch).Remember(Remember{Rung: Upgrade, Verdict: Yes, Cause: CauseOpened, TTL: day, RTT: 90 * time.Millisecond}, epoch)
	b, err := json.Marshal(Item{Key: Key{Scheme: "wss", Host: "a", Port: "443"}, Entry: e})
	const want = `{"key":"wss://a:443","entry":{"findings":{` +
		`"settings":{"verdict":"no","cause":"settings","since":"2020-01-01T00:00:00Z","until":"2020-01-01T01:00:00Z"},` +
		`"upgrade":{"verdict":"yes","cause":"opened","since":"2020-01-01T00:00:00Z","until":"2020-01-02T00:00:00Z"}},` +
		`"rtt_ns":90000000,"measured":"2020-01-01T00:00:00Z","used":"2020-01-01T00:00:00Z"}}`
	if err != nil || string(b) != want {
		t.Errorf("%s, %v\nwant %s", b, err, want)
	}
	var back Item
	if err := json.Unmarshal(b, &back); err != nil || !reflect.DeepEqual(back.Entry, e) {
		t.Errorf("%+v, %v", back, err)
	}
}

func TestALPNSet(t *testing.T) {
	for _, c := range []struct {
		p    Policy
		want string
	}{
		{Policy{}, "h2,http/1.1"},
		{Policy{Strict: true, Rungs: []Rung{Token, H21, Upgrade}}, "http/1.1"},
		{Policy{Rungs: []Rung{Token}}, "wsoverh2,http/1.1"},
		{Policy{Rungs: []Rung{H21, Token, Upgrade}}, "wsoverh2,h2.1,h2,http/1.1"},
		{Policy{Rungs: []Rung{Frame}}, "h2"},
		{Policy{Rungs: []Rung{Assume}, Once: true}, "h2"},
		{Policy{Rungs: []Rung{Upgrade, H3}}, "http/1.1"},
	} {
		if got := c.p.ALPNSet(); got != c.want {
			t.Errorf("%+v: %s, want %s", c.p, got, c.want)
		}
	}
}

// The wall clock may be set, by years, either way: no finding outlives the time that it was to hold, and none keeps a newer one out.
func TestClockIsSet(t *testing.T) {
	no := settingsNo(time.Hour, 24*time.Hour)
	for _, jump := range []time.Duration{-time.Hour, -48 * time.Hour, -10 * 365 * day, time.Hour, 48 * time.Hour, 10 * 365 * day} {
		e := Entry{}.Remember(no, epoch)
		e.RTT, e.Measured = time.Second, epoch
		now := epoch.Add(jump)
		if v := e.Verdict(Settings, now); v != Forgotten {
			t.Errorf("after %v: %s", jump, v)
		}
		if got := e.Timely(now); got.Used.After(now) || got.Measured.After(now) || jump < 0 && len(got.Findings) != 0 {
			t.Errorf("after %v there is: %+v", jump, got)
		}
		for _, found := range []Entry{e.Remember(no, now), Merge(e.Timely(now), Entry{}.Remember(no, now))} {
			f := found.Findings[Settings]
			if held := f.Until.Sub(now); held < time.Hour || held > 2*time.Hour || found.Verdict(Settings, now) != No || !f.Since.Equal(now) {
				t.Errorf("found again after %v: %+v holds for %v", jump, f, held)
			}
		}
		if f := e.Forget(Settings, now); f.Verdict(Settings, now) != Forgotten || f.Used != now {
			t.Errorf("forgotten after %v: %+v", jump, f)
		}
	}
	// Small differences between machines are none.
	e := Entry{}.Remember(no, epoch)
	if now := epoch.Add(-time.Minute); e.Verdict(Settings, now) != No || len(e.Timely(now).Findings) != 1 {
		t.Error("a minute is too much")
	}
}

// It makes no difference whether an entry has been in a file, which has no monotonic clock: the time of a machine's sleep counts.
func TestClockOfASleepingMachine(t *testing.T) {
	no := settingsNo(time.Hour, 24*time.Hour)
	for _, jump := range []time.Duration{-10 * 365 * day, -48 * time.Hour, -time.Minute, time.Minute, 48 * time.Hour, 10 * 365 * day} {
		then := time.Now()
		e := Entry{}.Remember(no, then).Remember(Remember{Rung: Frame, Verdict: No, TTL: time.Hour}, then).Forget(Frame, then)
		var stored Entry
		if b, err := json.Marshal(e); err != nil || json.Unmarshal(b, &stored) != nil {
			t.Fatal(err)
		}
		for _, after := range []time.Duration{0, time.Minute, time.Hour} {
			now := simnet.SetWall(then.Add(after), jump)
			want := Forgotten
			if wall := after + jump; wall >= -time.Minute && wall < time.Hour {
				want = No
			}
			if got := [2]Verdict{e.Verdict(Settings, now), stored.Verdict(Settings, now)}; got != [2]Verdict{want, want} {
				t.Errorf("%v after a jump of %v: %v, want %s", after, jump, got, want)
			}
			again := e.Remember(no, now)
			if again.Verdict(Settings, now.Add(time.Hour-1)) != No || again.Verdict(Settings, now.Add(25*time.Hour)) != Forgotten {
				t.Errorf("found again %v after a jump of %v: %+v", after, jump, again.Findings[Settings])
			}
		}
	}
}

// No finding holds for longer than findings do, whoever wrote it.
func TestAbsurdTimes(t *testing.T) {
	for _, f := range []Finding{
		{Since: epoch, Until: epoch.AddDate(7979, 0, 0)}, {Since: time.Time{}, Until: epoch.Add(time.Hour)}, {Since: epoch.AddDate(-2020, 0, 0), Until: epoch.AddDate(7979, 0, 0)},
		{Since: epoch.AddDate(7979, 0, 0), Until: epoch.AddDate(7979, 0, 0)}, {Since: epoch.Add(time.Hour), Until: epoch.AddDate(-2020, 0, 0)},
		{Since: epoch, Until: epoch.Add(longest + 1)},
	} {
		f.Verdict, f.Strikes = No, -1<<63
		e := Entry{Findings: map[Rung]Finding{Settings: f}, RTT: -1 << 63, Used: f.Since, Measured: f.Until}
		if v := e.Verdict(Settings, epoch); v != Forgotten {
			t.Errorf("%v: %s", f, v)
		}
		e = Merge(e.Timely(epoch), Entry{}.Remember(settingsNo(time.Hour, 0), epoch))
		if got := e.Findings[Settings].Until.Sub(epoch); got != time.Hour {
			t.Errorf("%v: what is found afterwards holds for %v", f, got)
		}
	}
}
