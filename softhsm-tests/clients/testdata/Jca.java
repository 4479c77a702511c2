import java.security.*;
import java.security.spec.*;
import java.util.Arrays;
import javax.crypto.*;
import javax.crypto.spec.*;

/**
 * What the token does as a provider of the JCA. Each result is checked by a provider of the JDK that has nothing to do
 * with it.
 */
public class Jca {
	static final byte[] message = "a message".getBytes();
	static Provider token;

	public static void main(String[] arguments) throws Exception {
		token = Security.getProvider("SunPKCS11").configure("onceleaf.cfg");
		KeyStore.getInstance("PKCS11", token).load(null, System.getenv("PIN").toCharArray());

		KeyPair rsa = pair("RSA", new RSAKeyGenParameterSpec(2048, RSAKeyGenParameterSpec.F4));
		sign("SHA256withRSA", rsa, null);
		sign("RSASSA-PSS", rsa, new PSSParameterSpec("SHA-256", "MGF1", MGF1ParameterSpec.SHA256, 32, 1));
		decrypt("RSA/ECB/PKCS1Padding", rsa);

		KeyPair p256 = pair("EC", new ECGenParameterSpec("secp256r1"));
		sign("SHA256withECDSA", p256, null);
		agree(p256);

		SecretKey aes = new SecretKeySpec(new byte[32], "AES");
		both("AES/GCM/NoPadding", aes, new GCMParameterSpec(128, new byte[12]));
		both("AES/CBC/PKCS5Padding", aes, new IvParameterSpec(new byte[16]));
		both("AES/CTR/NoPadding", aes, new IvParameterSpec(new byte[16]));
		generated();
		same("HMAC", mac(token), mac(null));
		MessageDigest here = MessageDigest.getInstance("SHA-512", token), there = MessageDigest.getInstance("SHA-512", "SUN");
		same("digest", here.digest(message), there.digest(message));
		SecureRandom.getInstance("PKCS11", token).nextBytes(new byte[32]);
	}

	static KeyPair pair(String algorithm, AlgorithmParameterSpec parameters) throws Exception {
		KeyPairGenerator generator = KeyPairGenerator.getInstance(algorithm, token);
		generator.initialize(parameters);
		return generator.generateKeyPair();
	}

	/** The provider of the JDK that knows such keys. */
	static String software(KeyPair pair) {
		return pair.getPublic().getAlgorithm().equals("EC") ? "SunEC" : "SunRsaSign";
	}

	/** The public key as the JDK's own providers have it. */
	static PublicKey elsewhere(KeyPair pair) throws Exception {
		KeyFactory factory = KeyFactory.getInstance(pair.getPublic().getAlgorithm(), software(pair));
		return factory.generatePublic(new X509EncodedKeySpec(pair.getPublic().getEncoded()));
	}

	static void sign(String algorithm, KeyPair pair, AlgorithmParameterSpec parameters) throws Exception {
		Signature signer = Signature.getInstance(algorithm, token);
		Signature verifier = Signature.getInstance(algorithm, software(pair));
		if (parameters != null) {
			signer.setParameter(parameters);
			verifier.setParameter(parameters);
		}
		signer.initSign(pair.getPrivate());
		signer.update(message);
		verifier.initVerify(elsewhere(pair));
		verifier.update(message);
		if (!verifier.verify(signer.sign())) throw new Exception(algorithm + ": the signature is not good");
		System.out.println(algorithm);
	}

	static void decrypt(String transformation, KeyPair pair) throws Exception {
		Cipher encryption = Cipher.getInstance(transformation, "SunJCE");
		encryption.init(Cipher.ENCRYPT_MODE, elsewhere(pair));
		Cipher decryption = Cipher.getInstance(transformation, token);
		decryption.init(Cipher.DECRYPT_MODE, pair.getPrivate());
		same(transformation, decryption.doFinal(encryption.doFinal(message)), message);
	}

	static void agree(KeyPair ours) throws Exception {
		KeyPairGenerator generator = KeyPairGenerator.getInstance("EC", "SunEC");
		generator.initialize(new ECGenParameterSpec("secp256r1"));
		KeyPair other = generator.generateKeyPair();
		KeyAgreement here = KeyAgreement.getInstance("ECDH", token), there = KeyAgreement.getInstance("ECDH", "SunEC");
		here.init(ours.getPrivate());
		here.doPhase(other.getPublic(), true);
		there.init(other.getPrivate());
		there.doPhase(elsewhere(ours), true);
		same("ECDH", here.generateSecret(), there.generateSecret());
	}

	static void both(String transformation, SecretKey key, AlgorithmParameterSpec parameters) throws Exception {
		Cipher encryption = Cipher.getInstance(transformation, token);
		Cipher decryption = Cipher.getInstance(transformation, "SunJCE");
		encryption.init(Cipher.ENCRYPT_MODE, key, parameters);
		byte[] sealed = encryption.doFinal(message);
		decryption.init(Cipher.DECRYPT_MODE, key, parameters);
		same(transformation, decryption.doFinal(sealed), message);
		decryption = Cipher.getInstance(transformation, token);
		decryption.init(Cipher.DECRYPT_MODE, key, parameters);
		same(transformation, decryption.doFinal(sealed), message);
	}

	static void generated() throws Exception {
		KeyGenerator generator = KeyGenerator.getInstance("AES", token);
		generator.init(256);
		SecretKey key = generator.generateKey();
		Cipher encryption = Cipher.getInstance("AES/CBC/PKCS5Padding", token);
		Cipher decryption = Cipher.getInstance("AES/CBC/PKCS5Padding", token);
		encryption.init(Cipher.ENCRYPT_MODE, key);
		decryption.init(Cipher.DECRYPT_MODE, key, new IvParameterSpec(encryption.getIV()));
		same("a key of the token", decryption.doFinal(encryption.doFinal(message)), message);
	}

	static byte[] mac(Provider provider) throws Exception {
		Mac mac = provider == null ? Mac.getInstance("HmacSHA256", "SunJCE") : Mac.getInstance("HmacSHA256", provider);
		mac.init(new SecretKeySpec(new byte[32], "HmacSHA256"));
		return mac.doFinal(message);
	}

	static void same(String what, byte[] a, byte[] b) throws Exception {
		if (!Arrays.equals(a, b)) throw new Exception(what + ": the two differ");
		System.out.println(what);
	}
}
