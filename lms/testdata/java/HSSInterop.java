// HSSInterop answers questions about HSS with the lightweight API of Bouncy Castle. Each line of standard input is one:
//
//   verify PUBLICKEY MESSAGE SIGNATURE                     -> "true" or "false"
//   sign COUNT MESSAGE LMSTYPE/LMOTSTYPE[,...]             -> "PUBLICKEY SIGNATURE", of the COUNT-th signature of a new key
//
// Byte strings are hexadecimal, "-" is the empty one, types are decimal and stand top level first.

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.security.SecureRandom;
import java.util.HexFormat;
import java.util.List;
import org.bouncycastle.crypto.AsymmetricCipherKeyPair;
import org.bouncycastle.pqc.crypto.lms.HSSKeyGenerationParameters;
import org.bouncycastle.pqc.crypto.lms.HSSKeyPairGenerator;
import org.bouncycastle.pqc.crypto.lms.HSSPublicKeyParameters;
import org.bouncycastle.pqc.crypto.lms.HSSSigner;
import org.bouncycastle.pqc.crypto.lms.LMOtsParameters;
import org.bouncycastle.pqc.crypto.lms.LMSParameters;
import org.bouncycastle.pqc.crypto.lms.LMSigParameters;

public class HSSInterop {
    // Version 1.72 looks up LMS types in a method that is not public; these are the ones that it knows.
    private static final List<LMSigParameters> TREES = List.of(
            LMSigParameters.lms_sha256_n32_h5,
            LMSigParameters.lms_sha256_n32_h10,
            LMSigParameters.lms_sha256_n32_h15);

    public static void main(String[] args) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String[] word = line.split(" ");
            switch (word[0]) {
                case "verify":
                    System.out.println(verify(bytes(word[1]), bytes(word[2]), bytes(word[3])));
                    break;
                case "sign":
                    System.out.println(sign(Integer.parseInt(word[1]), bytes(word[2]), word[3].split(",")));
                    break;
                default:
                    throw new IllegalArgumentException(word[0]);
            }
        }
    }

    private static byte[] bytes(String hex) {
        return hex.equals("-") ? new byte[0] : HexFormat.of().parseHex(hex);
    }

    private static boolean verify(byte[] publicKey, byte[] message, byte[] signature) throws Exception {
        HSSSigner verifier = new HSSSigner();
        verifier.init(false, HSSPublicKeyParameters.getInstance(publicKey));
        try {
            return verifier.verifySignature(message, signature);
        } catch (RuntimeException malformed) {
            return false;
        }
    }

    private static String sign(int count, byte[] message, String[] levels) throws Exception {
        LMSParameters[] parameters = new LMSParameters[levels.length];
        for (int i = 0; i < levels.length; i++) {
            String[] types = levels[i].split("/");
            parameters[i] = new LMSParameters(tree(Integer.parseInt(types[0])),
                    LMOtsParameters.getParametersForType(Integer.parseInt(types[1])));
        }
        HSSKeyPairGenerator generator = new HSSKeyPairGenerator();
        generator.init(new HSSKeyGenerationParameters(parameters, new SecureRandom()));
        AsymmetricCipherKeyPair pair = generator.generateKeyPair();
        HSSSigner signer = new HSSSigner();
        signer.init(true, pair.getPrivate());
        byte[] signature = null;
        for (int i = 0; i < count; i++) {
            signature = signer.generateSignature(message);
        }
        byte[] publicKey = ((HSSPublicKeyParameters) pair.getPublic()).getEncoded();
        return HexFormat.of().formatHex(publicKey) + " " + HexFormat.of().formatHex(signature);
    }

    private static LMSigParameters tree(int type) {
        for (LMSigParameters parameters : TREES) {
            if (parameters.getType() == type) {
                return parameters;
            }
        }
        throw new IllegalArgumentException("LMS type " + type);
    }
}
