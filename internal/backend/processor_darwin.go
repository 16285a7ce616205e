package backend

import "syscall"

// processor describes what the compiler may make use of: the processor's name, and the system's build.
func processor() ([]byte, error) {
	name, err := syscall.Sysctl("machdep.cpu.brand_string")
	if err != nil {
		return nil, err
	}
	build, err := syscall.Sysctl("kern.osversion")
	return []byte(name + "\n" + build), err
}
