package benchmark

import (
	"testing"
)

func TestTmp(t *testing.T) {
	for _, d := range []string{"test", "train", "clean/train","test/LOLv1/eval15", "test/GoPro/test","test/SOTS/indoor", "test/CBSD68/original","test/VideoHazy_v3","no_gt/haze_real"} {
		r, err := Check(t.Context(), "/work/shared/data/"+d, Options{})
		if err != nil { t.Error(d, err); continue }
		t.Logf("== %s could be %v others %v", d, r.CouldBe, r.Others)
		for _, p := range r.Parts {
			t.Logf("%s/%s %d of %d %s missing %d variant %q notes %q problems %v\n    %s", p.Set,p.Split,p.Found,p.Official,p.Noun(),len(p.Missing),p.Variant,p.Notes,p.Problems,p.Recipe)
		}
	}
}
