package main

import (
	"math"
	"os"
	"testing"
	"time"
)

// The tests' binary is the server, too.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		main()
		return
	}
	os.Exit(m.Run())
}

// The two programs find no fault in a short time. What they measure then says nothing, but that it can be measured.
func TestSoakForAMoment(t *testing.T) {
	r, err := newRun(0.8, "")
	if err != nil {
		t.Fatal(err)
	}
	defer r.server.kill()
	r.settle = 100 * time.Millisecond
	r.drive(4*time.Second, 2*time.Second, 4)
	for _, f := range r.list() {
		t.Error(f)
	}
	for _, c := range r.clients {
		if c.messages.Load() == 0 {
			t.Errorf("%s echoed nothing", c.name)
		}
	}
}

func TestRestartOfFew(t *testing.T) {
	if err := restart([]string{"-h2", "300", "-h1", "30", "-h3", "60", "-streams", "20"}); err != nil {
		t.Error(err)
	}
}

func TestFit(t *testing.T) {
	var samples []sample
	for i := range 10 {
		noise := uint64(i%2) * 10
		samples = append(samples, sample{at: time.Duration(i) * time.Minute, client: account{Heap: 1000 + uint64(i)*50 + noise}})
	}
	growth, mean := fit(samples, func(s sample) float64 { return float64(s.client.Heap) })
	if math.Abs(growth-450) > 15 || math.Abs(mean-1230) > 1 {
		t.Errorf("grew by %v, mean %v", growth, mean)
	}
	samples = samples[:1]
	if growth, _ := fit(samples, func(sample) float64 { return 7 }); growth != 0 {
		t.Errorf("one sample grew by %v", growth)
	}
}

// A process that grows is a fault.
func TestVerdict(t *testing.T) {
	for _, step := range []uint64{0, 10 << 10, 1 << 20} {
		r := &run{begun: time.Now()}
		for i := range 11 {
			r.samples = append(r.samples, sample{at: time.Duration(i) * time.Minute, server: account{Heap: 10<<20 + uint64(i)*step}})
		}
		if err := r.verdict(); (err != nil) != (step == 1<<20) {
			t.Errorf("%d bytes a minute: %v", step, err)
		}
	}
}
