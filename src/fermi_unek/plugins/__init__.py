"""The finder inside the tools on the desk: faces for fermipy and gammapy."""
