"""Several threads at one denoiser."""

import threading

import numpy as np


def same_bits_in_threads(denoiser, noisy, sigma=0.25, count=4):
    """Tell whether threads that clean the same samples at once all get what one alone gets."""
    expected, results = denoiser.clean(noisy, sigma), [None] * count

    def work(i):
        results[i] = denoiser.clean(noisy, sigma)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return all(np.array_equal(r, expected) for r in results)
