"""trivox: synchronized, calibrated videos of people in, 3D joints in millimetres out."""
