package h2net

import (
	"bytes"
	"flag"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weftws/weft/internal/h2"
	"github.com/weftws/weft/internal/simnet"
	"github.com/weftws/weft/internal/transport"
)

var seedFlag = flag.Uint64("seed", 0, "seed of TestTorture; 0: several fixed ones")

// TestTorture lets many streams do what they like on few connections: both modes, callbacks that block, ends of every
// kind at any moment. What arrives is a prefix of what was sent, whole where nobody broke off, and nothing is left.
func TestTorture(t *testing.T) {
	seeds := []uint64{1, 2, 3, 4}
	if *seedFlag != 0 {
		seeds = []uint64{*seedFlag}
	}
	for _, seed := range seeds {
		t.Run("", func(t *testing.T) {
			t.Logf("seed %d", seed)
			torture(t, seed)
		})
	}
}

func torture(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 0))
	cfg := h2.Config{InitialWindowSize: 1 << (10 + rng.IntN(8)), MaxSendQueue: 1 << (9 + rng.IntN(8)), ResetBurst: 1 << 20}
	var served atomic.Int64
	inFakeTime(t, wantConfig(cfg), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		served.Add(1)
		if r.Method == "POST" {
			io.Copy(w, r.Body)
			return
		}
		s, err := transport.AcceptorFrom(r.Context()).Accept(nil)
		if err != nil {
			return // the client was faster
		}
		if r.URL.Path == "/block" {
			echoTortured(s)
			return
		}
		s.Handle(func(p []byte, err error) {
			if err != nil {
				s.Close(time.Second)
				return
			}
			if len(p) > 0 && p[0]%64 == 0 {
				time.Sleep(time.Duration(p[0]) * time.Millisecond)
			}
			s.Send(p, nil)
		})
	}), func(fx *fixture) {
		fx.net.SetLink(serverAddr, simnet.Link{SendBuffer: 1 << (12 + rng.IntN(8))})
		var wg sync.WaitGroup
		for range 3 {
			cc := fx.connect(ClientOptions{Config: cfg})
			for range 20 {
				streamSeed := rng.Uint64()
				wg.Go(func() { tortureStream(fx, cc, streamSeed) })
			}
			if rng.IntN(3) == 0 {
				after := time.Duration(rng.IntN(2000)) * time.Millisecond
				wg.Go(func() {
					time.Sleep(after)
					cc.Close()
				})
				continue
			}
			t.Cleanup(func() {
				if n := cc.State().Streams; n != 0 {
					t.Errorf("seed %d: %d streams are left", seed, n)
				}
			})
		}
		wg.Wait()
		time.Sleep(10 * time.Second)
		if served.Load() == 0 {
			t.Error("nothing was served")
		}
	})
}

func echoTortured(s transport.Stream) {
	defer s.Close(time.Second)
	for {
		p, err := s.Receive()
		if err != nil {
			return
		}
		if _, err := s.Send(p[:len(p)/2], p[len(p)/2:]); err != nil {
			return
		}
	}
}

func tortureStream(fx *fixture, cc *ClientConn, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 1))
	pause := func() { time.Sleep(time.Duration(rng.IntN(200)) * time.Millisecond) }
	pause()
	path := [...]string{"/block", "/handle"}[rng.IntN(2)]
	call, err := cc.OpenConnect(ConnectRequest{Scheme: "https", Authority: "example.com", Path: path})
	if err != nil {
		return
	}
	if rng.IntN(8) == 0 {
		pause()
		call.Cancel()
		return
	}
	if resp, err := call.Response(fx.ctx); err != nil || resp.StatusCode != 200 {
		return
	}
	s := call.Stream()
	sent := pattern(rng.IntN(200_000))
	var mu sync.Mutex
	var got []byte
	whole := make(chan struct{})
	take := func(p []byte, err error) {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, p...)
		if !bytes.HasPrefix(sent, got) {
			fx.t.Errorf("seed %d: what arrives is not what was sent", seed)
		}
		if err != nil && len(got) < len(sent) || len(got) == len(sent) && len(p) > 0 || len(sent) == 0 {
			select {
			case <-whole:
			default:
				close(whole)
			}
		}
	}
	callbacks := rng.IntN(2) == 0
	if callbacks {
		pause()
		s.Handle(take)
	}
	go func() {
		for p := sent; len(p) > 0; {
			n := min(len(p), 1+len(p)/3)
			if m, err := s.Send(p[:n/2], p[n/2:n]); err != nil {
				if m > 0 {
					s.Abort()
				}
				return
			}
			p = p[n:]
			s.SetWriteDeadline(time.Now().Add(time.Minute))
		}
	}()
	if !callbacks {
		go func() {
			for {
				s.SetReadDeadline(time.Now().Add(time.Minute))
				p, err := s.Receive()
				take(p, err)
				if err != nil {
					return
				}
			}
		}()
	}
	switch rng.IntN(4) {
	case 0:
		pause()
		s.Abort()
	case 1:
		pause()
		s.Close(time.Duration(rng.IntN(1000)) * time.Millisecond)
	default:
		if len(sent) > 0 {
			<-whole
		}
		s.Close(time.Second)
	}
}
