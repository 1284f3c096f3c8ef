"""Engines that compute exported networks, without MXNet."""
