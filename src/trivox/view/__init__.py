"""What people look at: pictures with overlays, mosaics, reports. Nothing here computes poses."""
