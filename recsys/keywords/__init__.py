"""Keywords for sellers who advertise: cleaned, retrieved, ranked, chosen and explained."""
