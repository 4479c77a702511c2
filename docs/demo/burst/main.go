// Burst signs one file over and over through a PKCS#11 module, and keeps each
// signature in a file of its own, until it is killed. It is the demo's victim.
package main

import (
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/miekg/pkcs11"

	"github.com/onceleaf/onceleaf/internal/ck"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 4 {
		log.Fatal("usage: ONCELEAF_PIN=... burst MODULE FILE OUTPUT-FOLDER")
	}
	message, err := os.ReadFile(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(burst(os.Args[1], message, os.Args[3]))
}

// burst signs until an error stops it.
func burst(module string, message []byte, folder string) error {
	lib := pkcs11.New(module)
	if lib == nil {
		return fmt.Errorf("couldn't load %s", module)
	}
	if err := lib.Initialize(); err != nil {
		return err
	}
	session, key, err := openKey(lib)
	if err != nil {
		return err
	}
	for n := 0; ; n++ {
		if err := lib.SignInit(session, []*pkcs11.Mechanism{pkcs11.NewMechanism(uint(ck.CKM_HSS), nil)}, key); err != nil {
			return err
		}
		signature, err := lib.Sign(session, message)
		if err != nil {
			return err
		}
		if err := keep(signature, filepath.Join(folder, fmt.Sprintf("burst-%05d.sig", n))); err != nil {
			return err
		}
	}
}

// openKey logs in to the first token and finds its HSS private key.
func openKey(lib *pkcs11.Ctx) (pkcs11.SessionHandle, pkcs11.ObjectHandle, error) {
	slots, err := lib.GetSlotList(true)
	if err != nil {
		return 0, 0, err
	}
	session, err := lib.OpenSession(slots[0], pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
	if err != nil {
		return 0, 0, err
	}
	if err := lib.Login(session, pkcs11.CKU_USER, os.Getenv("ONCELEAF_PIN")); err != nil {
		return 0, 0, err
	}
	template := []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_PRIVATE_KEY),
		pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, uint(ck.CKK_HSS)),
	}
	if err := lib.FindObjectsInit(session, template); err != nil {
		return 0, 0, err
	}
	found, _, err := lib.FindObjects(session, 1)
	if err != nil || len(found) == 0 {
		return 0, 0, fmt.Errorf("no HSS key on the token: %v", err)
	}
	return session, found[0], lib.FindObjectsFinal(session)
}

// keep gives a signature its name when it is complete.
func keep(signature []byte, path string) error {
	if err := os.WriteFile(path+".part", signature, 0o644); err != nil {
		return err
	}
	return os.Rename(path+".part", path)
}
