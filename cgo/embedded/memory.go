package main

/*
#include "cryptoki.h"
*/
import "C"

import (
	"bytes"
	"unicode/utf8"
	"unsafe"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/p11module"
)

// octets is the caller's memory itself, to be read during the call only; nil for NULL. The C half has bounded length.
func octets(p *C.CK_BYTE, length C.CK_ULONG) []byte {
	if p == nil {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(p)), length)
}

// template copies the caller's attributes and their values.
func template(attributes *C.CK_ATTRIBUTE, count C.CK_ULONG) []p11module.Attribute {
	copied := make([]p11module.Attribute, 0, count)
	for _, a := range unsafe.Slice(attributes, count) {
		c := p11module.Attribute{
			Type:  ck.AttributeType(a._type),
			Value: bytes.Clone(octets((*C.CK_BYTE)(a.pValue), a.ulValueLen)),
		}
		if kind, _ := c.Type.Kind(); kind == ck.KindTemplate && len(c.Value) == 0 {
			c.Nested = []p11module.Attribute{} // one that is not empty is refused, whatever it holds
		}
		copied = append(copied, c)
	}
	return copied
}

// mechanism copies the caller's mechanism and its parameter.
func mechanism(m *C.CK_MECHANISM) p11module.Mechanism {
	return p11module.Mechanism{
		Type:      ck.MechanismType(m.mechanism),
		Parameter: bytes.Clone(octets((*C.CK_BYTE)(m.pParameter), m.ulParameterLen)),
	}
}

// output describes the caller's buffer of *length bytes.
func output(p *C.CK_BYTE, length *C.CK_ULONG) p11module.Output {
	return p11module.Output{Query: p == nil, Room: uint64(*length)}
}

// deliver is the end of a call with an output buffer: the one place where a signature reaches the caller.
func deliver(value []byte, length uint64, rv ck.RV, p *C.CK_BYTE, room *C.CK_ULONG) C.CK_RV {
	if rv != ck.CKR_OK && rv != ck.CKR_BUFFER_TOO_SMALL {
		return C.CK_RV(rv)
	}
	if rv == ck.CKR_OK && p != nil {
		if uint64(len(value)) > uint64(*room) {
			return C.CKR_GENERAL_ERROR // p11module knew the room; never write beyond it
		}
		copy(octets(p, C.CK_ULONG(len(value))), value)
	}
	*room = C.CK_ULONG(length)
	return C.CK_RV(rv)
}

// deliverList is deliver for a list of numbers; *count is in entries.
func deliverList[N ~uint64](values []N, rv ck.RV, p, count *C.CK_ULONG) C.CK_RV {
	if rv != ck.CKR_OK {
		return C.CK_RV(rv)
	}
	room := uint64(*count)
	*count = C.CK_ULONG(len(values))
	if p == nil {
		return C.CKR_OK
	}
	if room < uint64(len(values)) {
		return C.CKR_BUFFER_TOO_SMALL
	}
	list := unsafe.Slice(p, len(values))
	for i, value := range values {
		list[i] = C.CK_ULONG(value)
	}
	return C.CKR_OK
}

// deliverHandle stores a new object's handle if there is one.
func deliverHandle(object ck.ObjectHandle, rv ck.RV, p *C.CK_OBJECT_HANDLE) C.CK_RV {
	if rv == ck.CKR_OK {
		*p = C.CK_OBJECT_HANDLE(object)
	}
	return C.CK_RV(rv)
}

// pad writes text into a field of the standard's fixed size, cut at a character and filled with blanks.
func pad(field []C.CK_UTF8CHAR, text string) {
	for len(text) > len(field) {
		_, size := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-size]
	}
	for i := range field {
		field[i] = ' '
		if i < len(text) {
			field[i] = C.CK_UTF8CHAR(text[i])
		}
	}
}

func version(v p11module.Version) C.CK_VERSION {
	return C.CK_VERSION{major: C.CK_BYTE(v.Major), minor: C.CK_BYTE(v.Minor)}
}
