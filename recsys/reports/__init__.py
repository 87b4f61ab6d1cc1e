"""Reports: frames in, text a person reads out."""
