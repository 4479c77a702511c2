package p11module

import (
	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/mechanism"
)

// EncryptInit is C_EncryptInit.
func (m *Module) EncryptInit(h ck.SessionHandle, with Mechanism, key ck.ObjectHandle) ck.RV {
	return m.begin("C_EncryptInit", encrypting, h, func(l *library, s *session) (*operation, error) {
		return l.withKey(s, key, with, ck.CKA_ENCRYPT, ck.CKF_ENCRYPT, func(k *mechanism.Key) (engine, error) {
			return l.transform(with, k, mechanism.NewEncryption)
		})
	})
}

// Encrypt is C_Encrypt.
func (m *Module) Encrypt(h ck.SessionHandle, data []byte, out Output) (encrypted []byte, length uint64, rv ck.RV) {
	return m.work("C_Encrypt", encrypting, once, h, input{data: data}, out)
}

// EncryptUpdate is C_EncryptUpdate.
func (m *Module) EncryptUpdate(h ck.SessionHandle, part []byte, out Output) (encrypted []byte, length uint64, rv ck.RV) {
	return m.work("C_EncryptUpdate", encrypting, update, h, input{data: part}, out)
}

// EncryptFinal is C_EncryptFinal.
func (m *Module) EncryptFinal(h ck.SessionHandle, out Output) (encrypted []byte, length uint64, rv ck.RV) {
	return m.work("C_EncryptFinal", encrypting, final, h, input{}, out)
}

// DecryptInit is C_DecryptInit.
func (m *Module) DecryptInit(h ck.SessionHandle, with Mechanism, key ck.ObjectHandle) ck.RV {
	return m.begin("C_DecryptInit", decrypting, h, func(l *library, s *session) (*operation, error) {
		return l.withKey(s, key, with, ck.CKA_DECRYPT, ck.CKF_DECRYPT, func(k *mechanism.Key) (engine, error) {
			return l.transform(with, k, mechanism.NewDecryption)
		})
	})
}

// Decrypt is C_Decrypt. A length query may answer more than comes out, where padding goes.
func (m *Module) Decrypt(h ck.SessionHandle, encrypted []byte, out Output) (data []byte, length uint64, rv ck.RV) {
	return m.work("C_Decrypt", decrypting, once, h, input{data: encrypted}, out)
}

// DecryptUpdate is C_DecryptUpdate. Of data with a tag nothing comes out before DecryptFinal.
func (m *Module) DecryptUpdate(h ck.SessionHandle, encrypted []byte, out Output) (part []byte, length uint64, rv ck.RV) {
	return m.work("C_DecryptUpdate", decrypting, update, h, input{data: encrypted}, out)
}

// DecryptFinal is C_DecryptFinal.
func (m *Module) DecryptFinal(h ck.SessionHandle, out Output) (part []byte, length uint64, rv ck.RV) {
	return m.work("C_DecryptFinal", decrypting, final, h, input{}, out)
}
