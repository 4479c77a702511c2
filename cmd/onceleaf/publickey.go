package main

import (
	"bytes"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"os"

	"golang.org/x/term"

	"github.com/spf13/cobra"

	"github.com/onceleaf/onceleaf/lms"
)

// id-alg-hss-lms-hashsig. RFC 9708 section 3: parameters absent.
var hssOID = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 3, 17}

// subjectPublicKeyInfo is the ASN.1 of RFC 5280 section 4.1 with absent parameters.
type subjectPublicKeyInfo struct {
	Algorithm struct{ OID asn1.ObjectIdentifier }
	Key       asn1.BitString
}

const pemType = "PUBLIC KEY"

// parsePublicKey reads an HSS public key in any of the forms in use:
//
//	raw   the 60 or 52 bytes of RFC 8554
//	DER   SubjectPublicKeyInfo with the raw key in the BIT STRING (RFC 9708), or with an OCTET STRING around it (RFC 8708)
//	PEM   either DER form under "PUBLIC KEY"
func parsePublicKey(b []byte) (lms.HSSPublicKey, error) {
	if block, rest := pem.Decode(b); block != nil {
		if block.Type != pemType || len(bytes.TrimSpace(rest)) > 0 {
			return lms.HSSPublicKey{}, fmt.Errorf("couldn't read the PEM file: want one block of type %q", pemType)
		}
		return parseSPKI(block.Bytes)
	}
	// A raw key begins with the number of levels in four bytes, so it cannot begin like an ASN.1 sequence.
	if len(b) > 0 && b[0] == 0x30 {
		return parseSPKI(b)
	}
	return lms.ParseHSSPublicKey(b)
}

// parseSPKI accepts the two DER forms and nothing that merely resembles them.
func parseSPKI(der []byte) (lms.HSSPublicKey, error) {
	var info subjectPublicKeyInfo
	if _, err := asn1.Unmarshal(der, &info); err != nil {
		return lms.HSSPublicKey{}, fmt.Errorf("couldn't read the SubjectPublicKeyInfo: %w", err)
	}
	if !info.Algorithm.OID.Equal(hssOID) {
		return lms.HSSPublicKey{}, fmt.Errorf("couldn't read the SubjectPublicKeyInfo: algorithm %v is not HSS (%v)", info.Algorithm.OID, hssOID)
	}
	raw := info.Key.Bytes
	if len(raw) > 0 && raw[0] == asn1.TagOctetString {
		if _, err := asn1.Unmarshal(raw, &raw); err != nil {
			return lms.HSSPublicKey{}, fmt.Errorf("couldn't read the SubjectPublicKeyInfo: %w", err)
		}
	}
	key, err := lms.ParseHSSPublicKey(raw)
	if err != nil {
		return key, err
	}
	// encoding/asn1 passes over what follows the fields that it looks for.
	for _, encode := range []func(lms.HSSPublicKey) ([]byte, error){formatSPKI, formatWrappedSPKI} {
		if want, err := encode(key); err == nil && bytes.Equal(der, want) {
			return key, nil
		}
	}
	return lms.HSSPublicKey{}, errors.New("couldn't read the SubjectPublicKeyInfo: there is more in it than an HSS key")
}

// publicKeyForms are the forms of 'export-public --format'.
var publicKeyForms = map[string]func(lms.HSSPublicKey) ([]byte, error){
	"raw":  func(k lms.HSSPublicKey) ([]byte, error) { return k.Bytes(), nil },
	"spki": formatSPKI,
	"pem": func(k lms.HSSPublicKey) ([]byte, error) {
		der, err := formatSPKI(k)
		return pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der}), err
	},
}

// formatSPKI is the DER form of RFC 9708.
func formatSPKI(k lms.HSSPublicKey) ([]byte, error) { return marshalSPKI(k.Bytes()) }

// formatWrappedSPKI is the DER form of RFC 8708, which is read but no longer written.
func formatWrappedSPKI(k lms.HSSPublicKey) ([]byte, error) {
	inner, err := asn1.Marshal(k.Bytes())
	if err != nil {
		return nil, err
	}
	return marshalSPKI(inner)
}

func marshalSPKI(key []byte) ([]byte, error) {
	var info subjectPublicKeyInfo
	info.Algorithm.OID = hssOID
	info.Key = asn1.BitString{Bytes: key, BitLength: 8 * len(key)}
	return asn1.Marshal(info)
}

// readPublicKey reads a public key file.
func readPublicKey(path string) (lms.HSSPublicKey, error) {
	data, err := readFile(path, maxKeyFile)
	if err != nil {
		return lms.HSSPublicKey{}, err
	}
	key, err := parsePublicKey(data)
	if err != nil {
		return key, refusal("a public key is 60 or 52 raw bytes, or a SubjectPublicKeyInfo in DER or PEM",
			"%s holds no HSS public key: %v", shown(path), err)
	}
	return key, nil
}

func (inv *invocation) exportPublicCommand() *cobra.Command {
	var format string
	var out output
	cmd := &cobra.Command{
		Use:   "export-public KEY",
		Short: "write a key's public key",
		Long: `Write a key's public key: raw (60 or 52 bytes, RFC 8554), spki (DER, RFC 9708) or pem.

Public keys can be seen without a PIN; it is asked for only if the public object was deleted.`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return inv.exportPublic(args[0], format, out) },
	}
	cmd.Flags().StringVar(&format, "format", "pem", "`FORM`: raw, spki or pem")
	cmd.Flags().StringVar(&out.path, "out", "", "write to `FILE` instead of stdout")
	cmd.Flags().BoolVar(&out.force, "force", false, "replace FILE")
	return cmd
}

func (inv *invocation) exportPublic(name, format string, out output) error {
	encode, ok := publicKeyForms[format]
	if !ok {
		return refusal("choose raw, spki or pem", "there is no format %s", shown(format))
	}
	if out.path != "" {
		if err := out.check(); err != nil {
			return err
		}
	} else if isTerminal(inv.stdout) && format != "pem" {
		return refusal("give --out FILE, or choose --format pem", "%s is binary and stdout is a terminal", format)
	}
	key, err := inv.findPublicKey(name)
	if err != nil {
		return err
	}
	data, err := encode(key)
	if err != nil {
		return err
	}
	if out.path != "" {
		return out.write(data, 0o644)
	}
	_, err = inv.stdout.Write(data)
	return err
}

// findPublicKey looks among the public objects first, and then, with the PIN, among the private keys.
func (inv *invocation) findPublicKey(name string) (pub lms.HSSPublicKey, err error) {
	err = inv.withSession(func(s *session) error {
		keys, err := s.publicKeys()
		if err != nil {
			return err
		}
		k, err := chooseKey(keys, name)
		if err == nil || len(keysWhere(keys, func(k hssKey) bool { return k.label == name })) > 1 {
			pub = k.public
			return err
		}
		if err := inv.login(s, 1); err != nil {
			return err
		}
		if k, err = s.key(name); err != nil {
			return err
		}
		if k.identity == "" {
			return refusal("it cannot be rebuilt by this tool", "the token has no public key for %s", shown(name))
		}
		pub = k.public
		return nil
	})
	return pub, err
}

// isTerminal says whether a stream of this program is a terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
