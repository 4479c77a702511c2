package wire

import (
	"fmt"
	"strings"
)

// InfoRow is a structure that a function fills for its caller.
type InfoRow struct {
	Struct string // in C; its name in p11module is that of the kind
	Fields []InfoField
}

// InfoField is one of its fields, a CK_ULONG unless it is text or a version.
type InfoField struct {
	C, Go   string
	Text    int // bytes of the field; 0: no text
	Version bool
}

// Infos are these structures.
var Infos = map[Kind]InfoRow{
	ArgInfo: {"CK_INFO", []InfoField{version("cryptokiVersion", "CryptokiVersion"), padded("manufacturerID", "Manufacturer", 32), plain("flags", "Flags"),
		padded("libraryDescription", "Description", 32), version("libraryVersion", "LibraryVersion")}},
	ArgSlotInfo: {"CK_SLOT_INFO", []InfoField{padded("slotDescription", "Description", 64), padded("manufacturerID", "Manufacturer", 32),
		plain("flags", "Flags"), version("hardwareVersion", "Hardware"), version("firmwareVersion", "Firmware")}},
	ArgTokenInfo: {"CK_TOKEN_INFO", []InfoField{padded("label", "Label", 32), padded("manufacturerID", "Manufacturer", 32), padded("model", "Model", 16),
		padded("serialNumber", "Serial", 16), plain("flags", "Flags"), plain("ulMaxSessionCount", "MaxSessionCount"), plain("ulSessionCount", "SessionCount"),
		plain("ulMaxRwSessionCount", "MaxRWSessionCount"), plain("ulRwSessionCount", "RWSessionCount"), plain("ulMaxPinLen", "MaxPINLen"),
		plain("ulMinPinLen", "MinPINLen"), plain("ulTotalPublicMemory", "TotalPublicMemory"), plain("ulFreePublicMemory", "FreePublicMemory"),
		plain("ulTotalPrivateMemory", "TotalPrivateMemory"), plain("ulFreePrivateMemory", "FreePrivateMemory"),
		version("hardwareVersion", "Hardware"), version("firmwareVersion", "Firmware"), padded("utcTime", "UTCTime", 16)}},
	ArgSessionInfo:   {"CK_SESSION_INFO", []InfoField{plain("slotID", "Slot"), plain("state", "State"), plain("flags", "Flags"), plain("ulDeviceError", "DeviceError")}},
	ArgMechanismInfo: {"CK_MECHANISM_INFO", []InfoField{plain("ulMinKeySize", "MinKeySize"), plain("ulMaxKeySize", "MaxKeySize"), plain("flags", "Flags")}},
}

func plain(c, name string) InfoField { return InfoField{C: c, Go: name} }

func padded(c, name string, size int) InfoField { return InfoField{C: c, Go: name, Text: size} }

func version(c, name string) InfoField { return InfoField{C: c, Go: name, Version: true} }

func infoText(k Kind) string {
	var fields []string
	for _, f := range Infos[k].Fields {
		switch {
		case f.Text != 0:
			fields = append(fields, fmt.Sprintf("text[%d] %s", f.Text, f.C))
		case f.Version:
			fields = append(fields, "u8 u8 "+f.C)
		default:
			fields = append(fields, "u64 "+f.C)
		}
	}
	return strings.Join(fields, ", ")
}
