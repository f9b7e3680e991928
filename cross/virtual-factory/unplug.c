// SPDX-License-Identifier: MIT OR GPL-2.0
// Pulls a V4L2 device out from under whoever has it open, as unplugging a USB camera does: a process writes the number
// of its own open file of the device to /sys/module/unplug/parameters/file. From then on everybody gets ENODEV. When the
// driver's module has been removed, -1 gives the number of the device free for the next.
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <media/v4l2-dev.h>
#include <media/v4l2-device.h>

// The driver does not expect to outlive its device, so its device stays until the driver is gone.
static struct video_device *unplugged;
static struct v4l2_device nobody;

static void forget(void)
{
	if (!unplugged)
		return;
	// What it pointed to went with the driver.
	unplugged->v4l2_dev = &nobody;
	put_device(&unplugged->dev);
	unplugged = NULL;
}

static int unplug(const char *text, const struct kernel_param *param)
{
	struct video_device *device;
	struct file *file;
	loff_t position = 0;
	int number;

	if (kstrtoint(text, 10, &number))
		return -EINVAL;
	if (number == -1) {
		forget();
		return 0;
	}
	if (unplugged)
		return -EBUSY;
	file = fget(number);
	if (!file)
		return -EBADF;
	if (!S_ISCHR(file_inode(file)->i_mode) || imajor(file_inode(file)) != VIDEO_MAJOR) {
		fput(file);
		return -ENODEV;
	}
	device = video_devdata(file);
	get_device(&device->dev);
	unplugged = device;
	video_unregister_device(device);
	// The driver's own write of nothing wakes the readers that wait for a picture.
	if (device->fops->write)
		device->fops->write(file, NULL, 0, &position);
	fput(file);
	return 0;
}

static const struct kernel_param_ops operations = { .set = unplug };
module_param_cb(file, &operations, NULL, 0200);
MODULE_DESCRIPTION("Unplugs a V4L2 device");
MODULE_LICENSE("Dual MIT/GPL");
