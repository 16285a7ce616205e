//go:build cgo && !noxla && ((linux && (amd64 || arm64)) || (darwin && arm64))

package backend

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The declarations in pjrtapi.h are those of go-xla's header: the C compiler compares sizes and offsets,
// and the functions are counted in the table.
func TestPJRTDeclarations(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/gomlx/go-xla").Output()
	folder := strings.TrimSpace(string(out))
	if err != nil || folder == "" {
		t.Skipf("the source of go-xla is not to be found: %v", err)
	}
	compiler, err := exec.LookPath("cc")
	if err != nil {
		t.Skip("there is no C compiler")
	}
	header, err := os.ReadFile("pjrtapi.h")
	if err != nil {
		t.Fatal(err)
	}
	var c strings.Builder
	fmt.Fprintln(&c, "#include \"pjrt_c_api.h\"\n#include \"pjrtapi.h\"")
	functions := regexp.MustCompile(`(?m)^  GODCPT_(PJRT_\w+) = `).FindAllStringSubmatch(string(header), -1)
	for _, f := range functions {
		fmt.Fprintf(&c, "_Static_assert(offsetof(PJRT_Api, %s) == offsetof(struct godcpt_pjrt_api, functions) + sizeof(void *) * GODCPT_%[1]s, \"%[1]s\");\n", f[1])
	}
	structs := map[string]string{
		"godcpt_pjrt_initialize_args":         "PJRT_Plugin_Initialize_Args",
		"godcpt_pjrt_client_create_args":      "PJRT_Client_Create_Args",
		"godcpt_pjrt_program":                 "PJRT_Program",
		"godcpt_pjrt_compile_args":            "PJRT_Client_Compile_Args",
		"godcpt_pjrt_error_destroy_args":      "PJRT_Error_Destroy_Args",
		"godcpt_pjrt_error_message_args":      "PJRT_Error_Message_Args",
		"godcpt_pjrt_executable_destroy_args": "PJRT_Executable_Destroy_Args",
		"godcpt_pjrt_serialize_args":          "PJRT_Executable_Serialize_Args",
		"godcpt_pjrt_get_executable_args":     "PJRT_LoadedExecutable_GetExecutable_Args",
		"godcpt_pjrt_load_args":               "PJRT_Executable_DeserializeAndLoad_Args",
	}
	declared := regexp.MustCompile(`(?ms)^struct (godcpt_pjrt_\w+_args|godcpt_pjrt_program) \{(.*?)^\};`).FindAllStringSubmatch(string(header), -1)
	if len(declared) != len(structs) || len(functions) == 0 {
		t.Fatalf("%d structures and %d functions found in pjrtapi.h, %d structures are known here", len(declared), len(functions), len(structs))
	}
	field := regexp.MustCompile(`(?m)(?:\(\*)?(\w+)(?:\)\(void \*\))?;`)
	for _, d := range declared {
		theirs := structs[d[1]]
		fmt.Fprintf(&c, "_Static_assert(sizeof(%s) == sizeof(struct %s), \"size of %[1]s\");\n", theirs, d[1])
		for _, f := range field.FindAllStringSubmatch(d[2], -1) {
			fmt.Fprintf(&c, "_Static_assert(offsetof(%s, %s) == offsetof(struct %s, %[2]s), \"%[1]s.%[2]s\");\n", theirs, f[1], d[1])
		}
	}
	for _, f := range []string{"major_version", "minor_version"} {
		fmt.Fprintf(&c, "_Static_assert(offsetof(PJRT_Api, pjrt_api_version.%s) == offsetof(struct godcpt_pjrt_api, %[1]s), \"%[1]s\");\n", f)
	}
	source := filepath.Join(t.TempDir(), "declarations.c")
	if err := os.WriteFile(source, []byte(c.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(compiler, "-fsyntax-only", "-I", filepath.Join(folder, "pjrt"), "-I", ".", source).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
