package softhsmtests

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/ThalesGroup/crypto11"
	"github.com/miekg/pkcs11"

	"github.com/onceleaf/onceleaf/softhsm-tests/worker"
)

// crypto11Library makes a process an application of crypto11 with the library that it names.
const crypto11Library = "ONCELEAF_TEST_CRYPTO11"

// A Go application that knows the token through github.com/ThalesGroup/crypto11 alone: keys as crypto.Signer, TLS,
// ciphers, many goroutines. It runs in a process of its own, as one process has one token directory.
func TestCrypto11(t *testing.T) {
	libraries := []string{module}
	if needSoftHSM(t) {
		libraries = append(libraries, softHSM)
	}
	for _, library := range libraries {
		side := newSide(t, library)
		must(t, side.Finalize())
		must(t, side.Exit()) // the embedded library wants its directory for itself
		command := exec.Command(value(os.Executable())(t))
		command.Env = append(worker.Environment(side.dir), softHSMEnvironment(t, side.dir)...)
		command.Env = append(command.Env, crypto11Library+"="+library)
		if out, err := command.CombinedOutput(); err != nil {
			t.Errorf("the application with %s: %v\n%s", library, err, out)
		}
	}
}

// beCrypto11 is the application, if this process was started as one; it ends the process.
func beCrypto11() {
	library := os.Getenv(crypto11Library)
	if library == "" {
		return
	}
	if err := application11(library); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func application11(library string) error {
	p11, err := crypto11.Configure(&crypto11.Config{Path: library, TokenLabel: "compared", Pin: userPIN,
		MaxSessions: 10, GCMIVLength: 12})
	if err != nil {
		return fmt.Errorf("couldn't open the token: %w", err)
	}
	for _, part := range []struct {
		name string
		run  func(*crypto11.Context) error
	}{
		{"RSA", rsa11}, {"ECDSA", ecdsa11}, {"TLS", tls11}, {"AES", aes11}, {"HMAC", hmac11}, {"random", random11},
		{"many goroutines", many11}, {"nothing is left", empty11},
	} {
		if err := part.run(p11); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return p11.Close()
}

// signsWell signs a digest and verifies with Go.
func signsWell(signer crypto.Signer, options crypto.SignerOpts) error {
	digest := sha256.Sum256(message)
	signature, err := signer.Sign(rand.Reader, digest[:], options)
	if err != nil {
		return err
	}
	switch public := signer.Public().(type) {
	case *ecdsa.PublicKey:
		if !ecdsa.VerifyASN1(public, digest[:], signature) {
			return errors.New("the signature does not verify")
		}
		return nil
	case *rsa.PublicKey:
		if pss, ok := options.(*rsa.PSSOptions); ok {
			return rsa.VerifyPSS(public, crypto.SHA256, digest[:], signature, pss)
		}
		return rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], signature)
	}
	return fmt.Errorf("a public key %T", signer.Public())
}

func rsa11(p11 *crypto11.Context) error {
	key, err := p11.GenerateRSAKeyPairWithLabel([]byte("rsa"), []byte("RSA key"), 2048)
	if err != nil {
		return err
	}
	pss := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
	public := key.Public().(*rsa.PublicKey)
	err = errors.Join(signsWell(key, crypto.SHA256), signsWell(key, pss))
	//lint:ignore SA1019 the token has to open what old applications have sealed
	sealed := made(rsa.EncryptPKCS1v15(rand.Reader, public, message[:32]))
	opened, err2 := key.Decrypt(rand.Reader, sealed, nil)
	err = errors.Join(err, err2, same(opened, message[:32]))
	// SoftHSM knows OAEP with SHA-1 alone.
	sealed = made(rsa.EncryptOAEP(crypto.SHA1.New(), rand.Reader, public, message[:32], nil))
	opened, err2 = key.Decrypt(rand.Reader, sealed, &rsa.OAEPOptions{Hash: crypto.SHA1})
	err = errors.Join(err, err2, same(opened, message[:32]))
	again, err2 := p11.FindRSAKeyPair([]byte("rsa"), nil)
	if err2 != nil || again == nil {
		return errors.Join(err, err2, errors.New("the key pair is not found again"))
	}
	return errors.Join(err, signsWell(again, crypto.SHA256), key.Delete())
}

func same(got, want []byte) error {
	if !bytes.Equal(got, want) {
		return fmt.Errorf("%d bytes came back, and not those that went in", len(got))
	}
	return nil
}

func ecdsa11(p11 *crypto11.Context) error {
	for i, curve := range []elliptic.Curve{elliptic.P224(), elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		key, err := p11.GenerateECDSAKeyPair([]byte{byte(i)}, curve)
		if err != nil {
			return err
		}
		if err := errors.Join(signsWell(key, crypto.SHA256), key.Delete()); err != nil {
			return fmt.Errorf("%s: %w", curve.Params().Name, err)
		}
	}
	return nil
}

// tls11 is a TLS server whose key and certificate are in the token.
func tls11(p11 *crypto11.Context) error {
	key, err := p11.GenerateECDSAKeyPairWithLabel([]byte("tls"), []byte("TLS key"), elliptic.P256())
	if err != nil {
		return err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "token"},
		DNSNames: []string{"token"},
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	certificate := made(x509.ParseCertificate(der))
	if err := p11.ImportCertificateWithLabel([]byte("tls"), []byte("TLS key"), certificate); err != nil {
		return err
	}
	pairs, err := p11.FindAllPairedCertificates()
	if err != nil || len(pairs) != 1 {
		return fmt.Errorf("%d certificates with keys, want 1 (%w)", len(pairs), err)
	}
	return errors.Join(handshake(pairs[0], certificate), p11.DeleteCertificate([]byte("tls"), nil, nil), key.Delete())
}

func handshake(pair tls.Certificate, root *x509.Certificate) error {
	near, far := net.Pipe()
	deadline := time.Now().Add(time.Minute)
	near.SetDeadline(deadline)
	far.SetDeadline(deadline)
	pool := x509.NewCertPool()
	pool.AddCert(root)
	server := tls.Server(near, &tls.Config{Certificates: []tls.Certificate{pair}})
	client := tls.Client(far, &tls.Config{RootCAs: pool, ServerName: "token"})
	return together(server.Handshake, client.Handshake)
}

// together runs functions at the same time.
func together(functions ...func() error) error {
	results := make(chan error)
	for _, f := range functions {
		go func() { results <- f() }()
	}
	var all error
	for range functions {
		all = errors.Join(all, <-results)
	}
	return all
}

func aes11(p11 *crypto11.Context) error {
	key, err := p11.GenerateSecretKeyWithLabel([]byte("aes"), []byte("AES key"), 256, crypto11.CipherAES)
	if err != nil {
		return err
	}
	gcm, err := key.NewGCM()
	if err != nil {
		return err
	}
	nonce := make([]byte, gcm.NonceSize())
	sealed := gcm.Seal(nil, nonce, message, []byte("header"))
	opened, err := gcm.Open(nil, nonce, sealed, []byte("header"))
	err = errors.Join(err, same(opened, message))
	if _, err := gcm.Open(nil, nonce, sealed, []byte("another")); err == nil {
		return errors.New("GCM opens what it should not")
	}
	encrypter, err2 := key.NewCBCEncrypterCloser(make([]byte, 16))
	if err2 != nil {
		return err2
	}
	block := make([]byte, 64)
	encrypter.CryptBlocks(block, message[:64])
	encrypter.Close()
	decrypter, err2 := key.NewCBCDecrypterCloser(make([]byte, 16))
	if err2 != nil {
		return err2
	}
	decrypter.CryptBlocks(block, block)
	decrypter.Close()
	return errors.Join(err, same(block, message[:64]), key.Delete())
}

func hmac11(p11 *crypto11.Context) error {
	key, err := p11.GenerateSecretKeyWithLabel([]byte("hmac"), []byte("HMAC key"), 256, crypto11.CipherGeneric)
	if err != nil {
		return err
	}
	first, err := key.NewHMAC(pkcs11.CKM_SHA256_HMAC, 0)
	if err != nil {
		return err
	}
	second, err := key.NewHMAC(pkcs11.CKM_SHA256_HMAC, 0)
	if err != nil {
		return err
	}
	first.Write(message)
	for _, part := range thirds(message) {
		second.Write(part)
	}
	if !hmac.Equal(first.Sum(nil), second.Sum(nil)) {
		return errors.New("two MACs of the same message differ")
	}
	return key.Delete()
}

func random11(p11 *crypto11.Context) error {
	reader, err := p11.NewRandomReader()
	if err != nil {
		return err
	}
	_, err = io.ReadFull(reader, make([]byte, 10000))
	return err
}

// many11 uses one key from many goroutines, over the pool of sessions.
func many11(p11 *crypto11.Context) error {
	key, err := p11.GenerateECDSAKeyPair([]byte("many"), elliptic.P256())
	if err != nil {
		return err
	}
	sign := func() error {
		for range 20 {
			if err := signsWell(key, crypto.SHA256); err != nil {
				return err
			}
		}
		return nil
	}
	return errors.Join(together(slices.Repeat([]func() error{sign}, 16)...), key.Delete())
}

func empty11(p11 *crypto11.Context) error {
	pairs, err := p11.FindAllKeyPairs()
	keys, err2 := p11.FindAllKeys()
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	if len(pairs) != 0 || len(keys) != 0 {
		return fmt.Errorf("%d key pairs and %d secret keys are left", len(pairs), len(keys))
	}
	return nil
}
