package token

import (
	"testing"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// hand gives count root leaves of a key to another token, whose private key it returns.
func (tk *testToken) hand(s Session, key ObjectID, count uint64, to *testToken, there Session, template ...Attribute) ObjectID {
	tk.Helper()
	pub, transfer, err := to.GenerateTransferKey(there, ck.TRANSFER_HPKE, nil, nil)
	tk.must(err)
	request, err := tk.Create(s, []Attribute{
		{ck.CKA_CLASS, Ulong(ck.CKO_PUBLIC_KEY)}, {ck.CKA_KEY_TYPE, Ulong(ck.CKK_ONCELEAF_TRANSFER)}, {ck.CKA_VALUE, to.value(pub, ck.CKA_VALUE)},
	})
	tk.must(err)
	giving, err := tk.Giving(s, request, key, count)
	tk.must(err)
	capsule, err := giving.Give(tk.Context())
	tk.must(err)
	received, err := to.Receive(tk.Context(), there, transfer, capsule, template)
	tk.must(err)
	return received
}

// Leaves that go make a key low, and leaves that come end it: the next fall is told again.
func TestLogOfATransfer(t *testing.T) {
	source, destination := newTestToken(t), newTestToken(t)
	here, there := source.userSession(), destination.userSession()
	below := Attribute{ck.CKA_ONCELEAF_WARN_BELOW, Ulong(uint64(65))}
	_, key, err := source.GenerateHSS(t.Context(), here, nil,
		append(oneLevel(), Attribute{ck.CKA_TOKEN, yes}, Attribute{ck.CKA_ONCELEAF_TRANSFERABLE, yes}, below))
	source.must(err)
	heardHere, heardThere := source.listen(), destination.listen()
	source.signTimes(key, 10)
	source.heard(heardHere, "22 of 32 left", 0, 0, 0)
	received := source.hand(here, key, 11, destination, there, below)
	source.heard(heardHere, "11 of 21 left", 1, 0, 0)
	destination.signTimes(received, 5)
	destination.heard(heardThere, "6 of 11 left", 1, 0, 0)

	source.hand(here, key, 4, destination, there)
	source.heard(heardHere, "7 of 17 left", 0, 0, 0)
	destination.heard(heardThere, "10 of 15 left", 0, 0, 0)
	destination.signTimes(received, 1)
	destination.heard(heardThere, "9 of 15 left", 1, 0, 0)
	destination.signTimes(received, 9)
	destination.heard(heardThere, "nothing left", 0, 0, 1)
	source.hand(here, key, 1, destination, there)
	destination.signTimes(received, 1)
	destination.heard(heardThere, "one came and is used", 0, 0, 1)
}
