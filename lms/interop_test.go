package lms_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/onceleaf/onceleaf/lms"
)

// bouncyCastle is where Debian's libbcprov-java puts the library; version 1.72 knows SHA-256 with n = 32.
const bouncyCastle = "/usr/share/java/bcprov.jar"

// question is a line for testdata/java/HSSInterop.java, and what its answer has to satisfy.
type question struct {
	name  string
	line  string
	check func(answer string) error
}

// TestBouncyCastle lets an independent implementation verify our signatures, and verifies its own.
func TestBouncyCastle(t *testing.T) {
	questions := append(verifyQuestions(t), signQuestions(t)...)
	answers := askBouncyCastle(t, questions)
	for i, q := range questions {
		if err := q.check(answers[i]); err != nil {
			t.Errorf("%s: %v\nquestion: %s\nanswer: %s", q.name, err, q.line, answers[i])
		}
	}
}

// askBouncyCastle starts one Java machine for all questions.
func askBouncyCastle(t *testing.T, questions []question) []string {
	t.Helper()
	missing := func(what string) {
		if os.Getenv("CI") == "true" {
			t.Fatalf("there is no %s", what)
		}
		t.Skipf("there is no %s (Debian: openjdk-17-jdk-headless, libbcprov-java)", what)
	}
	for _, program := range []string{"java", "javac"} { // java runs source files with the help of the compiler
		if _, err := exec.LookPath(program); err != nil {
			missing(program)
		}
	}
	if _, err := os.Stat(bouncyCastle); err != nil {
		missing(bouncyCastle)
	}
	var input, output, errors bytes.Buffer
	for _, q := range questions {
		fmt.Fprintln(&input, q.line)
	}
	java := exec.CommandContext(t.Context(), "java", "-cp", bouncyCastle, "testdata/java/HSSInterop.java")
	java.Stdin, java.Stdout, java.Stderr = &input, &output, &errors
	if err := java.Run(); err != nil {
		t.Fatalf("%v: %s", err, errors.String())
	}
	answers := strings.Split(strings.TrimSpace(output.String()), "\n")
	if len(answers) != len(questions) {
		t.Fatalf("%d answers to %d questions: %s", len(answers), len(questions), output.String())
	}
	return answers
}

// interopKeys are the levels of the keys that both sides sign with: each w with 1 to 3 levels, and levels that differ.
func interopKeys() [][]lms.ParameterSet {
	var keys [][]lms.ParameterSet
	for ots := lms.LMOTS_SHA256_N32_W1; ots <= lms.LMOTS_SHA256_N32_W8; ots++ {
		var sets []lms.ParameterSet
		for range 3 {
			sets = append(sets[:len(sets):len(sets)], lms.ParameterSet{LMS: lms.LMS_SHA256_M32_H5, OTS: ots})
			keys = append(keys, sets)
		}
	}
	return append(keys, []lms.ParameterSet{
		{LMS: lms.LMS_SHA256_M32_H10, OTS: lms.LMOTS_SHA256_N32_W2},
		{LMS: lms.LMS_SHA256_M32_H5, OTS: lms.LMOTS_SHA256_N32_W8},
		{LMS: lms.LMS_SHA256_M32_H5, OTS: lms.LMOTS_SHA256_N32_W1},
	})
}

// verifyQuestions asks for the verification of our signatures, each once as it is and once altered.
func verifyQuestions(t *testing.T) []question {
	var questions []question
	ask := func(name, want string, key, message, signature []byte) {
		line := fmt.Sprintf("verify %x %s %x", key, word(message), signature)
		questions = append(questions, question{name, line, func(answer string) error {
			if answer != want {
				return fmt.Errorf("want %s", want)
			}
			return nil
		}})
	}
	for i, sets := range interopKeys() {
		h := newHierarchy(t, fmt.Sprintf("interop %d", i), sets...)
		key, message := h.publicKey().Bytes(), stream(fmt.Sprintf("message %d", i), 7*i)
		signature := h.sign(t, uint32(5*i%32), message).Bytes()
		ask(fmt.Sprintf("our signature of %v", sets), "true", key, message, signature)
		ask(fmt.Sprintf("our signature of %v, other message", sets), "false", key, append(message, 0), signature)
		signature[len(signature)*(i+1)/20] ^= 1
		ask(fmt.Sprintf("our signature of %v, altered", sets), "false", key, message, signature)
	}
	return questions
}

// signQuestions asks for keys and signatures, some of them after a change of the lower tree, and verifies them here.
func signQuestions(t *testing.T) []question {
	var questions []question
	for i, sets := range interopKeys() {
		var types []string
		for _, set := range sets {
			types = append(types, fmt.Sprintf("%d/%d", set.LMS, set.OTS))
		}
		count := 1 + i
		if len(sets) > 1 {
			count += 32
		}
		message := stream(fmt.Sprintf("message %d", i), 11*i)
		questions = append(questions, question{
			name:  fmt.Sprintf("signature %d of %v", count, sets),
			line:  fmt.Sprintf("sign %d %s %s", count, word(message), strings.Join(types, ",")),
			check: func(answer string) error { return checkForeign(t, answer, sets, count, message) },
		})
	}
	return questions
}

// checkForeign verifies an answer "PUBLICKEY SIGNATURE", the count-th signature of a key, as it is and altered.
func checkForeign(t *testing.T, answer string, sets []lms.ParameterSet, count int, message []byte) error {
	public, signed, found := strings.Cut(answer, " ")
	if !found {
		return fmt.Errorf("not two words")
	}
	signature := unhex(t, signed)
	key, s := parse(t, unhex(t, public), signature)
	if len(signature) != lms.HSSSignatureSize(sets) || key.Levels != len(sets) || key.Root.Set != sets[0] {
		return fmt.Errorf("%d bytes, %d levels, top %v", len(signature), key.Levels, key.Root.Set)
	}
	leaves, used := s.Leaves(), count-1
	for level := len(sets) - 1; level >= 0; level-- {
		if n := int(sets[level].Leaves()); int(leaves[level].Q) != used%n {
			return fmt.Errorf("leaf %d at level %d, want %d", leaves[level].Q, level, used%n)
		}
		used /= int(sets[level].Leaves())
	}
	if err := key.Verify(message, signature); err != nil {
		return err
	}
	if signature[len(signature)/2] ^= 4; key.Verify(message, signature) == nil {
		return fmt.Errorf("altered signature verifies")
	}
	return nil
}

// word writes b as the Java program reads it.
func word(b []byte) string {
	if len(b) == 0 {
		return "-"
	}
	return fmt.Sprintf("%x", b)
}
