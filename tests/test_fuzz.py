from tests.fuzz_dicom import fuzz


def test_damaged_files_give_rows_with_reasons_and_no_crash():
    outcomes, complaints = fuzz(cases=1500, seed=1, real=False)
    assert complaints == []
    assert sum(count for outcome, count in outcomes.items() if ":" in outcome) == 1500
    assert all(outcomes[f"{kind}: failed"] for kind in ("cut", "flip", "header", "tag", "length", "insert", "zero"))
