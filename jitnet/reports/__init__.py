"""Reports on runs: what the folder of a run holds, measured, drawn and written as one HTML file or as text."""
