package mechanism

import "github.com/onceleaf/onceleaf/internal/ck"

// symmetricOffers are the mechanisms of secret keys and the digests. There is no DES, RC4 or MD5: what is broken is
// left out on purpose, and so is the wrapping of keys by modes that let changes through unseen (ECB, CBC, CTR).
func symmetricOffers() []offer {
	aesGeneration := aesRow(ck.CKM_AES_KEY_GEN)
	genericGeneration := Row{Type: ck.CKM_GENERIC_SECRET_KEY_GEN, MinKeySize: 8, MaxKeySize: 8 * maxSecret,
		Keys: []ck.KeyType{ck.CKK_GENERIC_SECRET}} // sizes in bits
	all := []offer{
		generateOffer(aesGeneration, ck.CKK_AES),
		generateOffer(genericGeneration, ck.CKK_GENERIC_SECRET),
		cipherOffer(ck.CKM_AES_ECB, beginECB),
		cipherOffer(ck.CKM_AES_CBC, beginCBC),
		cbcPadWrapping(cipherOffer(ck.CKM_AES_CBC_PAD, beginCBCPad)),
		cipherOffer(ck.CKM_AES_CTR, beginCTR),
		messageOffer(cipherOffer(ck.CKM_AES_GCM, beginGCM)),
		macOffer(aesRow(ck.CKM_AES_CMAC), newCMAC, wholeMAC),
		macOffer(aesRow(ck.CKM_AES_CMAC_GENERAL), newCMAC, generalMAC),
		encryptDataOffer(ck.CKM_AES_ECB_ENCRYPT_DATA, ecbEncryptData),
		encryptDataOffer(ck.CKM_AES_CBC_ENCRYPT_DATA, cbcEncryptData),
		wrapOffer(ck.CKM_AES_KEY_WRAP, kw),
		wrapOffer(ck.CKM_AES_KEY_WRAP_KWP, kwp),
		// Tokens differ in what they do for this number, which PKCS#11 3.0 gave up; SoftHSM does RFC 5649, and so do we.
		wrapOffer(ck.CKM_AES_KEY_WRAP_PAD, kwp),
	}
	for _, h := range hashings {
		all = append(all, digestOffer(h))
		all = append(all, hmacOffers(h)...)
	}
	return append(all, hkdfOffers()...)
}
