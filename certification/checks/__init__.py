"""The levels at which a certificate is checked; `certification.verifying` joins them."""
