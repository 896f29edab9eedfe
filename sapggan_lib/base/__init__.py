"""The ground floor: what every room may use, without torch or OpenCV, so that help and `doctor` need neither."""
