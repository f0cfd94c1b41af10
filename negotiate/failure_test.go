package negotiate

import (
	"errors"
	"testing"
)

// Every row of the table, the ones that no rung can reach yet included.
func TestClassify(t *testing.T) {
	assumed := func(o Outcome) failure { return failure{outcome: o, rung: Assume, sent: true, assumed: true} }
	sent := func(o Outcome) failure { return failure{outcome: o, rung: Settings, sent: true} }
	unsent := func(o Outcome) failure { return failure{outcome: o, rung: Settings} }
	h1 := func(o Outcome) failure { return failure{outcome: o, rung: Upgrade, sent: true} }
	proposed := func(o Outcome) failure { return failure{outcome: o, rung: Frame, sent: true, assumed: true} }
	idled := func(o Outcome) failure { return failure{outcome: o, rung: Upgrade, sent: true, idled: true} }
	over3 := func(o Outcome) failure { return failure{outcome: o, rung: H3, sent: true} }
	unsent3 := func(o Outcome) failure { return failure{outcome: o, rung: H3} }
	early := func(o Outcome) failure { return failure{outcome: o, rung: H3, sent: true, assumed: true} }
	status := func(s int) Response { return Response{Status: s} }

	for _, c := range []struct {
		f    failure
		want Class
	}{
		{unsent(ConnectFailed{Step: StepCertificate}), Transport},
		{h1(ConnectFailed{Step: StepProxy}), Transport},

		{assumed(ConnLost{GoAway: true, Code: codeProtocolError}), Killed},
		{assumed(ConnLost{GoAway: true, Code: codeProtocolError, Unprocessed: true}), Killed},
		{assumed(ConnLost{CloseNotify: true}), Killed},
		{assumed(ConnLost{}), Killed},
		{assumed(ConnLost{GoAway: true, Unprocessed: true}), Refused},

		{assumed(ConnLost{GoAway: true, Local: true, Code: codeProtocolError}), Version},
		{assumed(ConnLost{GoAway: true, Code: codeHTTP11Required}), Killed},
		{proposed(ConnLost{}), Killed},
		{idled(ConnLost{}), Refused},
		{idled(status(408)), Refused},
		{idled(status(403)), Application},
		{h1(status(408)), Application},
		{h1(Connected{ALPN: "h2"}), Version},
		{unsent(Connected{ALPN: "h3"}), Version},
		{proposed(FrameUnsupported{}), Version},
		{failure{outcome: SettingsReceived{Present: true, Slots: 1}, rung: H21, sent: true}, Version},
		{assumed(SettingsReceived{Slots: 1}), Version},
		{unsent(SettingsReceived{}), Version},
		{assumed(StreamReset{Code: codeProtocolError}), Version},
		{sent(StreamReset{Code: codeHTTP11Required}), Version},
		{sent(StreamReset{Code: codeVersionFallback, Unprocessed: true}), Version},
		{sent(ConnLost{GoAway: true, Code: codeHTTP11Required}), Version},
		{unsent(ConnLost{GoAway: true, Local: true, Code: codeProtocolError}), Version},
		{failure{outcome: ConnLost{GoAway: true, Local: true, Code: codeProtocolError}, rung: Token, sent: true, early: true}, Version},
		{sent(ConnLost{GoAway: true, Local: true, Code: codeProtocolError}), Silent},
		{sent(status(501)), Version},
		{h1(status(501)), Application},

		{sent(StreamReset{Code: codeRefusedStream}), Refused},
		{assumed(StreamReset{Code: 8, Unprocessed: true}), Refused},
		{sent(ConnLost{GoAway: true, Unprocessed: true}), Refused},
		{unsent(ConnLost{}), Refused},
		{unsent(SettingsReceived{ConnectProtocol: true}), Refused},
		{sent(NoSlot{}), Refused},

		{sent(status(421)), Misdirected},
		{h1(status(421)), Misdirected},

		{sent(status(400)), Ambiguous},
		{sent(status(404)), Ambiguous},
		{sent(status(405)), Ambiguous},
		{sent(status(408)), Ambiguous},
		{sent(status(410)), Ambiguous},
		{sent(status(426)), Ambiguous},
		{sent(status(431)), Ambiguous},
		{sent(StreamReset{Code: 2}), Ambiguous},
		{h1(status(404)), Application},
		{h1(status(426)), Application},

		{sent(status(425)), Early},
		{h1(status(425)), Early},

		{sent(Timer{}), Silent},
		{unsent(Timer{}), Silent},
		{assumed(ConnLost{GoAway: true, Local: true, Code: codeSettingsTimeout}), Silent},
		{unsent(ConnLost{GoAway: true, Local: true, Code: codeSettingsTimeout}), Silent},
		{sent(ConnLost{}), Silent},
		{sent(ConnLost{GoAway: true, Code: 2}), Silent},
		{h1(ConnLost{}), Silent},

		{sent(Response{Status: 200, Ended: true}), Handshake},
		{sent(Response{Status: 200, Invalid: errors.New("x")}), Handshake},
		{h1(Response{Status: 101, Invalid: errors.New("x")}), Handshake},
		{sent(StreamReset{Code: codeProtocolError, Local: true}), Handshake},

		{unsent3(ConnectFailed{Step: StepQUIC}), Transport},
		{early(ConnectFailed{Step: StepQUIC, Heard: true}), Transport},
		{early(ConnLost{CloseNotify: true}), Killed},
		{early(ConnLost{GoAway: true, Code: codeH3NoError, Unprocessed: true}), Refused},
		{early(ConnLost{GoAway: true, Code: codeH3NoError}), Killed},
		{early(SettingsReceived{Slots: 1}), Version},
		{early(ConnLost{GoAway: true, Local: true, Code: 0x109}), Version}, // H3_SETTINGS_ERROR
		{early(status(425)), Early},
		{unsent3(Connected{ALPN: "hq"}), Version},
		{unsent3(SettingsReceived{Present: true, Slots: 1}), Version},
		{unsent3(ConnLost{GoAway: true, Local: true, Code: 0x10a}), Version}, // H3_MISSING_SETTINGS
		{over3(StreamReset{Code: codeVersionFallback}), Version},
		{over3(ConnLost{GoAway: true, Code: codeVersionFallback}), Version},
		{over3(StreamReset{Code: codeH3ProtocolError}), Version},
		{over3(StreamReset{Code: codeMessageError}), Version},
		{over3(status(501)), Version},
		{over3(StreamReset{Code: codeRequestRejected}), Refused},
		{over3(StreamReset{Code: 0x10c, Unprocessed: true}), Refused},
		{over3(ConnLost{GoAway: true, Unprocessed: true, Code: codeH3NoError}), Refused},
		{unsent3(ConnLost{CloseNotify: true}), Refused},
		{unsent3(SettingsReceived{ConnectProtocol: true}), Refused},
		{over3(status(421)), Misdirected},
		{over3(StreamReset{Code: 0x102}), Ambiguous}, // H3_INTERNAL_ERROR
		{over3(status(404)), Ambiguous},
		{over3(status(425)), Early},
		{over3(ConnLost{CloseNotify: true}), Silent},
		{unsent3(Timer{}), Silent},
		{over3(Response{Status: 200, Ended: true}), Handshake},
		{over3(StreamReset{Code: codeMessageError, Local: true}), Handshake},
		{over3(StreamReset{Code: codeRequestRejected, Local: true}), Handshake},
		{over3(status(403)), Application},

		{sent(status(401)), Application},
		{sent(status(403)), Application},
		{sent(status(407)), Application},
		{sent(status(302)), Application},
		{sent(status(429)), Application},
		{sent(status(500)), Application},
		{sent(status(503)), Application},
		{h1(status(200)), Application},
		{sent(status(101)), Application},
	} {
		if got, words := classify(c.f); got != c.want || words == "" {
			t.Errorf("%T%+v on %s: class %s (%s), want %s", c.f.outcome, c.f.outcome, c.f.rung, got, words, c.want)
		}
	}
}
