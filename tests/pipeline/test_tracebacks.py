from gatewright.errors import ProviderUnavailable
from gatewright.pipeline.tracebacks import let_go_of_frames


def test_errors_that_were_raised_from_each_other_are_gone_through_once():
    first, second = ProviderUnavailable("one"), ProviderUnavailable("two")
    for error, cause in ((first, second), (second, first)):
        try:
            raise error from cause
        except ProviderUnavailable:
            pass
    assert first.__traceback__ is not None
    let_go_of_frames(first)
    assert first.__traceback__ is None
    assert second.__traceback__ is None
