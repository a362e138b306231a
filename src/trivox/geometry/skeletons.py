"""Skeletons: named joints, bones, left-right pairs, and conversion between them by joint name."""
