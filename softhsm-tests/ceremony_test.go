package softhsmtests

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/miekg/pkcs11"

	"github.com/onceleaf/onceleaf/internal/audit"
	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/lms"
	"github.com/onceleaf/onceleaf/softhsm-tests/worker"
)

// request makes a transfer key at the destination: its handles and the request file.
func (k *token) request(scheme uint64) (worker.KeyPair, []byte) {
	k.t.Helper()
	pair := value(k.GenerateKeyPair(worker.KeyPairCall{
		Session:   k.session,
		Mechanism: uint(ck.CKM_ONCELEAF_TRANSFER_KEY_PAIR_GEN),
		Parameter: binary.NativeEndian.AppendUint64(nil, scheme),
	}))(k.t)
	return pair, k.bytes(pair.Public, ck.CKA_VALUE)
}

// partition gives leaves of the key away to the maker of the request: the capsule file.
func (k *token) partition(key pkcs11.ObjectHandle, request []byte, count uint64) ([]byte, error) {
	k.t.Helper()
	object := value(k.CreateObject(k.session,
		attribute(ck.CKA_CLASS, uint64(ck.CKO_PUBLIC_KEY)),
		attribute(ck.CKA_KEY_TYPE, uint64(ck.CKK_ONCELEAF_TRANSFER)),
		attribute(ck.CKA_TOKEN, false),
		attribute(ck.CKA_VALUE, request)))(k.t)
	return k.WrapKey(worker.WrapCall{
		Session:   k.session,
		Mechanism: uint(ck.CKM_ONCELEAF_PARTITION),
		Parameter: binary.NativeEndian.AppendUint64(nil, count),
		With:      object,
		Key:       key,
	})
}

// take imports a capsule with the transfer key: the new private key, labelled "received".
func (k *token) take(transferKey pkcs11.ObjectHandle, capsule []byte) (pkcs11.ObjectHandle, error) {
	return k.UnwrapKey(worker.WrapCall{
		Session:       k.session,
		Mechanism:     uint(ck.CKM_ONCELEAF_PARTITION),
		With:          transferKey,
		Wrapped:       capsule,
		KeyAttributes: []*pkcs11.Attribute{attribute(ck.CKA_LABEL, "received")},
	})
}

func (k *token) acknowledge(key pkcs11.ObjectHandle, receipt []byte) error {
	_, err := k.UnwrapKey(worker.WrapCall{
		Session:   k.session,
		Mechanism: uint(ck.CKM_ONCELEAF_RECEIPT),
		With:      key,
		Wrapped:   receipt,
	})
	return err
}

var transferable = attribute(ck.CKA_ONCELEAF_TRANSFERABLE, true)

// A key moves in part from one token to another. Then each goes on alone, and no leaf is used by both.
func TestCeremony(t *testing.T) {
	for name, scheme := range map[string]uint64{"HPKE": ck.TRANSFER_HPKE, "RSA": ck.TRANSFER_RSA} {
		for levels := 1; levels <= 2; levels++ {
			t.Run(name+" "+string(rune('0'+levels)), func(t *testing.T) { ceremony(t, scheme, twoLevels[:levels]) })
		}
	}
}

func ceremony(t *testing.T, scheme uint64, levels []lms.ParameterSet) {
	source, destination := newTokenIn(t, t.TempDir(), "source"), newTokenIn(t, t.TempDir(), "destination")
	key, used := source.generate(levels, transferable), new(audit.Audit)
	source.signTimes(3, key, used)
	before := source.remaining(key.Private)

	transfer, request := destination.request(scheme)
	capsule := value(source.partition(key.Private, request, 8))(t)
	if again := value(source.partition(key.Private, request, 8))(t); !bytes.Equal(again, capsule) {
		t.Error("the same request gave another capsule")
	}
	received := value(destination.take(transfer.Private, capsule))(t)
	receipt := destination.bytes(received, ck.CKA_ONCELEAF_RECEIPT)
	must(t, source.acknowledge(key.Private, receipt))

	given := uint64(8)
	if len(levels) == 2 {
		given *= h5w4.Leaves()
	}
	if got := destination.remaining(received); got != given {
		t.Errorf("the destination can make %d signatures, want %d", got, given)
	}
	if got := source.remaining(key.Private); got != before-given {
		t.Errorf("the source can make %d signatures, want %d", got, before-given)
	}
	if source.publicKey(key.Public).Root.I != destination.publicKey(destination.key("received").Public).Root.I {
		t.Error("the public keys differ")
	}

	// Both sides use up what they have, over a restart.
	source.signTimes(4, key, used)
	destination.signTimes(4, destination.key("received"), used)
	source, destination = source.restart(), destination.restart()
	sourceKey, destinationKey := source.key("key"), destination.key("received")
	if len(levels) == 1 {
		source.signTimes(int(source.remaining(sourceKey.Private)), sourceKey, used)
		destination.signTimes(int(destination.remaining(destinationKey.Private)), destinationKey, used)
		_, err := destination.Sign(destination.session, destinationKey.Private, []byte("one more"))
		wantRV(t, err, ck.CKR_KEY_EXHAUSTED)
		return
	}
	source.signTimes(40, sourceKey, used)
	destination.signTimes(40, destinationKey, used)
}

// A capsule serves once, whatever the destination did with the key since.
func TestCapsuleIsNoBackup(t *testing.T) {
	source, destination := newTokenIn(t, t.TempDir(), "source"), newTokenIn(t, t.TempDir(), "destination")
	key, used := source.generate(oneLevel, transferable), new(audit.Audit)
	transfer, request := destination.request(ck.TRANSFER_HPKE)
	capsule := value(source.partition(key.Private, request, 4))(t)

	altered := bytes.Clone(capsule)
	altered[len(altered)/2] ^= 1
	if _, err := destination.take(transfer.Private, altered); err == nil {
		t.Fatal("an altered capsule was imported")
	}
	received := value(destination.take(transfer.Private, capsule))(t)
	destination.signTimes(2, destination.key("received"), used)
	if _, err := destination.take(transfer.Private, capsule); err == nil {
		t.Error("the capsule was imported twice with its transfer key")
	}
	must(t, destination.DestroyObject(destination.session, received))
	if _, err := destination.take(transfer.Private, capsule); err == nil {
		t.Error("the capsule came back after the key was destroyed")
	}
	destination = destination.restart()
	private, err := destination.FindObjects(destination.session, attribute(ck.CKA_CLASS, uint64(ck.CKO_PRIVATE_KEY)))
	must(t, err)
	for _, object := range private {
		if _, err := destination.take(object, capsule); err == nil {
			t.Error("the capsule came back after a restart")
		}
	}
}

func TestCapsuleIsForOneDestination(t *testing.T) {
	source := newTokenIn(t, t.TempDir(), "source")
	meant, other := newTokenIn(t, t.TempDir(), "meant"), newTokenIn(t, t.TempDir(), "other")
	key := source.generate(oneLevel, transferable)
	_, request := meant.request(ck.TRANSFER_HPKE)
	capsule := value(source.partition(key.Private, request, 4))(t)
	wrong, _ := other.request(ck.TRANSFER_HPKE)
	if _, err := other.take(wrong.Private, capsule); err == nil {
		t.Error("another token imported the capsule")
	}
}

func TestOnlyATransferableKeyIsGivenAway(t *testing.T) {
	source, destination := newTokenIn(t, t.TempDir(), "source"), newTokenIn(t, t.TempDir(), "destination")
	key := source.generate(oneLevel)
	_, request := destination.request(ck.TRANSFER_HPKE)
	if _, err := source.partition(key.Private, request, 4); err == nil {
		t.Error("a key that is not transferable was given away")
	}
	if n := source.remaining(key.Private); n != 32 {
		t.Errorf("%d signatures left, want 32: a refusal costs nothing", n)
	}
	garbage := []byte(`{"version":1}`)
	if _, err := source.CreateObject(source.session,
		attribute(ck.CKA_CLASS, uint64(ck.CKO_PUBLIC_KEY)),
		attribute(ck.CKA_KEY_TYPE, uint64(ck.CKK_ONCELEAF_TRANSFER)),
		attribute(ck.CKA_VALUE, garbage)); err == nil {
		t.Error("a request that is none became an object")
	}
}
