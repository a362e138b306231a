"""Samples: pictures of people with their cameras."""
