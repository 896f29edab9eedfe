"""The child process of `shards.Guard`: reads items from stdin, answers rows and images on stdout."""

import os
import pickle
import signal
import sys
import tempfile


def main() -> None:
    """Answer until the parent closes the pipe."""
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)        # C libraries print to stdout; the answers must stay clean
    with tempfile.TemporaryFile() as printed:
        os.dup2(printed.fileno(), 2)

    import cv2

    from sapggan_lib.preprocessing.shards import CPU_SECONDS, MEMORY
    from sapggan_lib.preprocessing.steps import process_item

    cv2.setNumThreads(1)
    if sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)        # Ctrl+C goes to the parent, which closes the pipe
    while True:
        try:
            request = pickle.load(requests)
        except EOFError:
            return
        signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)   # its default action ends the process, even inside C
        os.ftruncate(2, 0)
        answer = process_item(*request)
        signal.setitimer(signal.ITIMER_PROF, 0)
        # libjpeg only prints that a stream is broken, and fills in what it lacks.
        if answer[1] is not None and b"Corrupt JPEG data" in os.pread(2, 1 << 16, 0):
            answer = answer[0] | {"status": "failed", "reason": "corrupt JPEG data"}, None
        pickle.dump(answer, answers, protocol=5)
        answers.flush()


if __name__ == "__main__":
    main()
