package token

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"math"
	"slices"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/keystore"
)

// objectRecord is the stored form of an object's attributes (docs/spec/object.md): in the record of an HSS key pair,
// where the token's are opaque to the keystore, and on the shelf.
type objectRecord struct {
	Attributes Attributes
	Sealed     []byte // the secret values under the master key; nil if there are none, or nobody logs in for them
}

// The versions of a record. The first one was JSON, which is only read.
const (
	binaryRecord = 2
	jsonStart    = '{'
)

// maxAttributes bounds the attributes of one object. None has half as many.
const maxAttributes = 128

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// encode never fails: the attributes come from a schema.
func (r objectRecord) encode() []byte {
	record := []byte{binaryRecord}
	record = r.Attributes.append(record)
	record = appendValue(record, r.Sealed)
	return binary.BigEndian.AppendUint32(record, crc32.Checksum(record, castagnoli))
}

// append writes the attributes, in order of their numbers, behind what is there.
func (a Attributes) append(record []byte) []byte {
	record = binary.AppendUvarint(record, uint64(len(a)))
	for _, attribute := range slices.Sorted(maps.Keys(a)) {
		if attribute > math.MaxUint32 {
			panic(fmt.Sprintf("couldn't write the attributes of an object: there is no %s", attribute))
		}
		record = binary.BigEndian.AppendUint32(record, uint32(attribute))
		record = appendValue(record, a[attribute])
	}
	return record
}

func appendValue(record, value []byte) []byte {
	return append(binary.AppendUvarint(record, uint64(len(value))), value...)
}

// parseRecord reads a stored form of any version. Of a binary one it keeps the slice. The error wraps
// keystore.ErrDamaged or ErrVersion.
func parseRecord(record []byte) (objectRecord, error) {
	if len(record) > 0 && record[0] == jsonStart {
		return parseJSON(record)
	}
	r := objectRecord{Attributes: make(Attributes, 32)} // most have about so many
	var err error
	r.Sealed, err = walkRecord(record, func(attribute ck.AttributeType, value []byte) {
		r.Attributes[attribute] = value
	})
	return r, err
}

// walkRecord shows the attributes of a binary record to see, all of them if there is no error, and returns what is
// sealed.
func walkRecord(record []byte, see func(ck.AttributeType, []byte)) (sealed []byte, err error) {
	switch {
	case len(record) > 0 && record[0] != binaryRecord:
		return nil, fmt.Errorf("%w: version %d", keystore.ErrVersion, record[0])
	case len(record) < 1+crc32.Size:
		return nil, fmt.Errorf("%w: %d bytes", keystore.ErrDamaged, len(record))
	}
	body, sum := record[:len(record)-crc32.Size], record[len(record)-crc32.Size:]
	if crc32.Checksum(body, castagnoli) != binary.BigEndian.Uint32(sum) {
		return nil, fmt.Errorf("%w: wrong sum", keystore.ErrDamaged)
	}
	body, err = walkAttributes(body[1:], see)
	if err == nil {
		sealed, body, err = takeValue(body)
	}
	if err == nil && len(body) > 0 {
		err = fmt.Errorf("%d bytes too many", len(body))
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", keystore.ErrDamaged, err)
	}
	return sealed, nil
}

// walkAttributes is the reverse of append. The values stay in the record.
func walkAttributes(record []byte, see func(ck.AttributeType, []byte)) (rest []byte, err error) {
	count, rest, err := takeNumber(record)
	if err != nil {
		return nil, err
	}
	if count > maxAttributes {
		return nil, fmt.Errorf("%d attributes", count)
	}
	last := int64(-1)
	for range count {
		var attribute ck.AttributeType
		var value []byte
		if attribute, value, rest, err = takeAttribute(rest); err != nil {
			return nil, err
		}
		if !isKnown(attribute) || int64(attribute) <= last {
			return nil, fmt.Errorf("%s, which is not known or not in its place", attribute)
		}
		see(attribute, value)
		last = int64(attribute)
	}
	return rest, nil
}

func takeAttribute(record []byte) (attribute ck.AttributeType, value, rest []byte, err error) {
	if len(record) < 4 {
		return 0, nil, nil, errShortRecord
	}
	value, rest, err = takeValue(record[4:])
	return ck.AttributeType(binary.BigEndian.Uint32(record)), value, rest, err
}

// lookInRecord is one attribute of a binary record that was checked before; nil if it is not there.
func lookInRecord(record []byte, wanted ck.AttributeType) []byte {
	count, rest, err := takeNumber(record[1:])
	for ; err == nil && count > 0; count-- {
		var attribute ck.AttributeType
		var value []byte
		if attribute, value, rest, err = takeAttribute(rest); attribute >= wanted {
			if attribute == wanted {
				return value
			}
			return nil
		}
	}
	return nil
}

// lowAttributes are the known ones of the standard, for a token that is opened asks it some hundred thousand times.
var lowAttributes = func() (known [0x800]bool) {
	for n := range known {
		_, known[n] = ck.AttributeType(n).Kind()
	}
	return known
}()

// lowSecrets are the attributes that are kept in the safe of some objects.
var lowSecrets = func() (secret [len(lowAttributes)]bool) {
	for _, attribute := range slices.Concat(secretKeyValues, secretDataValues) {
		secret[attribute] = true
	}
	return secret
}()

func isKnown(attribute ck.AttributeType) bool {
	if attribute < ck.AttributeType(len(lowAttributes)) {
		return lowAttributes[attribute]
	}
	_, known := attribute.Kind()
	return known
}

// storedCard is the card of an object on the shelf, which is read later unless it is of another kind than most. The
// errors are those of parseObject.
func storedCard(id ObjectID, record []byte) (*card, error) {
	if len(record) == 0 || record[0] == jsonStart {
		return parsedCard(id, record)
	}
	few, clearSecrets, size := make(Attributes, 3), false, sizeOfAttribute
	sealed, err := walkRecord(record, func(attribute ck.AttributeType, value []byte) {
		switch attribute {
		case ck.CKA_CLASS, ck.CKA_KEY_TYPE, ck.CKA_PRIVATE:
			few[attribute] = value
		default:
			clearSecrets = clearSecrets || attribute < ck.AttributeType(len(lowSecrets)) && lowSecrets[attribute]
		}
		size += sizeOfAttribute + len(value)
	})
	if err != nil {
		return nil, fmt.Errorf("object %s: %w", id, err)
	}
	class, keyType := ck.ObjectClass(few.ulong(ck.CKA_CLASS)), ck.KeyType(few.ulong(ck.CKA_KEY_TYPE))
	private := few.bool(ck.CKA_PRIVATE)
	odd := private && clearSecrets || !private && len(sealed) > 0 // if checkSealing says so
	if _, known := schemaOf(class, keyType); !known || keyType == ck.CKK_HSS || odd {
		return parsedCard(id, record)
	}
	return &card{id: id, size: int64(size + len(sealed)), record: record}, nil
}

func parsedCard(id ObjectID, record []byte) (*card, error) {
	o, err := parseObject(id, record)
	if err != nil {
		return nil, err
	}
	return newCard(o), nil
}

var errShortRecord = errors.New("it ends too early")

func takeValue(record []byte) (value, rest []byte, err error) {
	length, rest, err := takeNumber(record)
	if err != nil {
		return nil, nil, err
	}
	if length > uint64(len(rest)) {
		return nil, nil, errShortRecord
	}
	return rest[:length:length], rest[length:], nil
}

// takeNumber takes one in the only form that is written: the shortest.
func takeNumber(record []byte) (n uint64, rest []byte, err error) {
	n, length := binary.Uvarint(record)
	if length <= 0 || length > 1 && record[length-1] == 0 {
		return 0, nil, errors.New("no number where one ought to be")
	}
	return n, record[length:], nil
}

// jsonRecord is the first version.
type jsonRecord struct {
	Version    int        `json:"version"` // 1
	Attributes Attributes `json:"attributes"`
	Sealed     []byte     `json:"sealed,omitempty"`
}

func parseJSON(text []byte) (objectRecord, error) {
	var r jsonRecord
	if err := json.Unmarshal(text, &r); err != nil {
		return objectRecord{}, fmt.Errorf("%w: %w", keystore.ErrDamaged, err)
	}
	if r.Version != 1 {
		return objectRecord{}, fmt.Errorf("%w: JSON of version %d", keystore.ErrVersion, r.Version)
	}
	return objectRecord{r.Attributes, r.Sealed}, nil
}

// canonical reports whether a stored form that can be read is as it was written: a changed field name in JSON, for one,
// reads as a field that is not there.
func (r objectRecord) canonical(stored []byte) bool {
	if len(stored) == 0 || stored[0] != jsonStart {
		return bytes.Equal(stored, r.encode())
	}
	text, err := json.Marshal(jsonRecord{1, r.Attributes, r.Sealed})
	return err == nil && bytes.Equal(stored, text)
}
