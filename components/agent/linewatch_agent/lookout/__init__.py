"""`AWS.LookoutVision`: whole verdicts on pictures, from linewatch packages, on a socket of its own."""
