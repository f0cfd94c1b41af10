package websocket_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	websocket "github.com/weftws/weft/gorilla"
)

func TestCloseErrorText(t *testing.T) {
	for _, tt := range []struct {
		err  websocket.CloseError
		want string
	}{
		{websocket.CloseError{Code: 1000}, "websocket: close 1000 (normal)"},
		{websocket.CloseError{Code: 1001, Text: "bye"}, "websocket: close 1001 (going away): bye"},
		{websocket.CloseError{Code: 1006, Text: "unexpected EOF"}, "websocket: close 1006 (abnormal closure): unexpected EOF"},
		{websocket.CloseError{Code: 1012}, "websocket: close 1012"},
		{websocket.CloseError{Code: 4000, Text: "x"}, "websocket: close 4000: x"},
	} {
		if got := tt.err.Error(); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}

func TestIsCloseError(t *testing.T) {
	going := &websocket.CloseError{Code: websocket.CloseGoingAway}
	for _, tt := range []struct {
		err            error
		codes          []int
		is, unexpected bool
	}{
		{going, []int{websocket.CloseGoingAway}, true, false},
		{going, []int{websocket.CloseNormalClosure, websocket.CloseGoingAway}, true, false},
		{going, []int{websocket.CloseNormalClosure}, false, true},
		{going, nil, false, true},
		{fmt.Errorf("wrapped: %w", going), []int{websocket.CloseGoingAway}, false, false},
		{io.EOF, []int{websocket.CloseGoingAway}, false, false},
		{nil, nil, false, false},
	} {
		if got := websocket.IsCloseError(tt.err, tt.codes...); got != tt.is {
			t.Errorf("IsCloseError(%v, %v) = %v", tt.err, tt.codes, got)
		}
		if got := websocket.IsUnexpectedCloseError(tt.err, tt.codes...); got != tt.unexpected {
			t.Errorf("IsUnexpectedCloseError(%v, %v) = %v", tt.err, tt.codes, got)
		}
	}
}

func TestFormatCloseMessage(t *testing.T) {
	for _, tt := range []struct {
		code int
		text string
		want string
	}{
		{websocket.CloseNormalClosure, "bye", "\x03\xe8bye"},
		{websocket.CloseNoStatusReceived, "lost", ""},
		{4999, "", "\x13\x87"},
	} {
		if got := websocket.FormatCloseMessage(tt.code, tt.text); got == nil || string(got) != tt.want {
			t.Errorf("FormatCloseMessage(%d, %q) = %q, want %q", tt.code, tt.text, got, tt.want)
		}
	}
}

func TestHandshakeErrorIsAnError(t *testing.T) {
	if _, ok := errors.AsType[websocket.HandshakeError](error(websocket.HandshakeError{})); !ok {
		t.Error("no error")
	}
}
