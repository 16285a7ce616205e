package suggest

import (
	"strings"
	"testing"
)

func TestUnknown(t *testing.T) {
	known := []string{"nafnet-w64-5d", "learning_rate", "batch"}
	for name, want := range map[string]string{
		"learning_rte": `did you mean "learning_rate"?`,
		"Batch":        `did you mean "batch"?`,
		"zzzzzzzz":     "known: nafnet-w64-5d, learning_rate, batch",
	} {
		message := Unknown("key", name, known).Error()
		if !strings.Contains(message, want) {
			t.Errorf("Unknown(%q) = %q, want it to contain %q", name, message, want)
		}
	}
	if message := Unknown("key", "zzzzzzzz", known).Error(); strings.Contains(message, "did you mean") {
		t.Errorf("suggests something for a name that is near nothing: %s", message)
	}
}
