"""Tells a faulty rig from a faulty detector, and names the camera: `trivox doctor` (docs/troubleshooting.md)."""

from trivox.doctor.examination import DoctorReport, doctor

__all__ = ["DoctorReport", "doctor"]
